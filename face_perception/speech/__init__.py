"""Speech as arrays: spectrograms."""

from face_perception.speech.mel import log_mel

__all__ = ["log_mel"]
