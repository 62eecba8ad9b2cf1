"""Audio in: chunks put in order and resampled, wav files, whether a person speaks, and what the
mouth does; spectrograms, and what MuseTalk hears. No audio device, no topic, no picture.
"""

from face_perception.speech.audio_chunks import (
    AudioError,
    Chunk,
    Recording,
    chunk,
    from_bytes,
    read_wav,
    to_int16,
)
from face_perception.speech.band_mouth import BandMouth
from face_perception.speech.mel_spectrogram import log_mel
from face_perception.speech.mouth_shapes import MOUTH_RATE, REST, Mouth, MouthShape, Samples
from face_perception.speech.neural_mouth import NeuralMouth, mouth_features
from face_perception.speech.speech_stream import Heard, SpeechStream
from face_perception.speech.voice_activity import Activity, VoiceActivity
from face_perception.speech.whisper_stream import WhisperStream
from face_perception.speech.whisper_windows import (
    WhisperFeatures,
    features_of,
    first_steps,
    image_count,
    original_windows,
    windows,
)

__all__ = [
    "MOUTH_RATE",
    "REST",
    "Activity",
    "AudioError",
    "BandMouth",
    "Chunk",
    "Heard",
    "Mouth",
    "MouthShape",
    "NeuralMouth",
    "Recording",
    "Samples",
    "SpeechStream",
    "VoiceActivity",
    "WhisperFeatures",
    "WhisperStream",
    "chunk",
    "features_of",
    "first_steps",
    "from_bytes",
    "image_count",
    "log_mel",
    "mouth_features",
    "original_windows",
    "read_wav",
    "to_int16",
    "windows",
]
