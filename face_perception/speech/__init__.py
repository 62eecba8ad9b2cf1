"""Audio in: chunks put in order and resampled, wav files, whether a person speaks."""

from face_perception.speech.chunks import (
    AudioError,
    Chunk,
    Recording,
    chunk,
    read_wav,
    to_int16,
)
from face_perception.speech.stream import Heard, SpeechStream
from face_perception.speech.voice_activity import Activity, VoiceActivity

__all__ = [
    "Activity",
    "AudioError",
    "Chunk",
    "Heard",
    "Recording",
    "SpeechStream",
    "VoiceActivity",
    "chunk",
    "read_wav",
    "to_int16",
]
