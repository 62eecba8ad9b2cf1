"""Speech to the loudspeaker, and the audio clock that paces the frames."""
