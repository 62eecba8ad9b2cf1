"""Speech as arrays: spectrograms, and what MuseTalk hears of it."""

from face_perception.speech.mel import log_mel
from face_perception.speech.whisper_windows import (
    WhisperFeatures,
    features_of,
    first_steps,
    image_count,
    original_windows,
    windows,
)

__all__ = [
    "WhisperFeatures",
    "features_of",
    "first_steps",
    "image_count",
    "log_mel",
    "original_windows",
    "windows",
]
