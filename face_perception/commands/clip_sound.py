"""Listens to the sound of a film, in step with its images, to tell who speaks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from face_perception.errors import MissingDependencyError
from face_perception.inference import load
from face_perception.media import FilmSound
from face_perception.speech import (
    VOICE_STEP,
    AudioChunk,
    SoundLevel,
    SpeechStream,
    VoiceActivity,
    make_chunk,
)

if TYPE_CHECKING:
    from face_perception.attention import WhoSpeaks
    from face_perception.media import FrameReader

_RATE = 16_000
_AHEAD = 0.1  # seconds of sound that are heard after the time of an image


class ClipSound:
    """Tells ``who`` what is heard in the film ``clip``, up to the time of each image.

    Nothing is told of a picture, of a clip without sound, and without PyAV, which reads the sound.
    ``close`` closes the film. Raises ModelError if the film has sound and the model of voice
    activity is missing.
    """

    def __init__(self, clip: FrameReader, who: WhoSpeaks) -> None:
        self._who = who
        self._begin, self._heard_until = clip.first_stamp, -1.0
        self._sound: FilmSound | None = None
        if not clip.still:
            with contextlib.suppress(MissingDependencyError):
                self._sound = FilmSound(clip.path, clip.begin)
        self._pieces = self._chunks()
        if self._sound is not None and self._sound.rate:
            self._voice = VoiceActivity(load("voice_activity", threads=1))
            self._stream, self._level = SpeechStream((_RATE,)), SoundLevel()

    def close(self) -> None:
        """Closes the film."""
        if self._sound is not None:
            self._sound.close()

    def listen_until(self, stamp: float) -> None:
        """Hears the sound up to an image of ``stamp`` seconds."""
        while self._heard_until < stamp + _AHEAD:
            chunk = next(self._pieces, None)
            if chunk is None:
                return
            self._heard_until = chunk.stamp + chunk.duration
            for middle, level in self._level.measure(chunk):
                self._who.hear_level(middle, level)
            for segment in self._stream.push_chunk(chunk, now=chunk.stamp):
                for step in self._voice.detect(segment.samples[_RATE]):
                    self._who.hear_voice(self._begin + step.end - VOICE_STEP / 2, step.probability)

    def _chunks(self) -> Iterator[AudioChunk]:
        """Yields the sound; its first sample has the stamp of the first image."""
        sound, at = self._sound, 0
        if sound is None:
            return
        # The silence of a gap may last minutes, and ``who`` remembers a few seconds.
        longest = round(_AHEAD * sound.rate)
        for samples in sound:
            for start in range(0, len(samples), longest):
                piece = samples[start : start + longest]
                # A stamp of 0 would mean that it is not known.
                stamp = max(self._begin + at / sound.rate, 1e-6)
                at += len(piece)
                yield make_chunk(piece.ravel(), sound.rate, sound.channels, stamp)
