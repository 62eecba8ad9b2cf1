"""Processes speech audio: chunks, wav files, voice activity, mouth shapes and whisper's features.

Takes and returns arrays. Knows no audio device, no topic and no picture.
"""

from face_perception.speech.audio_chunks import (
    AudioChunk,
    AudioError,
    AudioSamples,
    chunk_from_bytes,
    make_chunk,
    to_int16,
)
from face_perception.speech.band_mouth import BandMouth
from face_perception.speech.channels import ChannelMixer
from face_perception.speech.mel_spectrogram import log_mel, triangular_filters
from face_perception.speech.mouth_shapes import MOUTH_RATE, REST, Mouth, MouthShape
from face_perception.speech.neural_mouth import NeuralMouth, mouth_features
from face_perception.speech.sound_level import SoundLevel
from face_perception.speech.speech_stream import SpeechSegment, SpeechStream
from face_perception.speech.voice_activity import (
    VOICE_STEP,
    VoiceActivity,
    VoiceActivitySettings,
    VoiceState,
)
from face_perception.speech.wav_file import Recording, read_wav
from face_perception.speech.whisper_stream import WhisperWindowStream
from face_perception.speech.whisper_windows import (
    BLOCK,
    WhisperStateStream,
    image_count,
    image_windows,
    whisper_states,
    window_starts,
)

__all__ = [
    "BLOCK",
    "MOUTH_RATE",
    "REST",
    "VOICE_STEP",
    "AudioChunk",
    "AudioError",
    "AudioSamples",
    "BandMouth",
    "ChannelMixer",
    "Mouth",
    "MouthShape",
    "NeuralMouth",
    "Recording",
    "SoundLevel",
    "SpeechSegment",
    "SpeechStream",
    "VoiceActivity",
    "VoiceActivitySettings",
    "VoiceState",
    "WhisperStateStream",
    "WhisperWindowStream",
    "chunk_from_bytes",
    "image_count",
    "image_windows",
    "log_mel",
    "make_chunk",
    "mouth_features",
    "read_wav",
    "to_int16",
    "triangular_filters",
    "whisper_states",
    "window_starts",
]
