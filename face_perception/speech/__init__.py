"""Makes and processes speech: voices, chunks, wav files, voice activity, mouth shapes, features.

Takes and returns arrays. Knows no audio device, no topic and no picture.
"""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names
from face_perception.speech.articulation import (
    ARTICULATION_RATE,
    BILABIALS,
    VOWELS,
    articulation,
    letters,
    loudness,
    with_effort,
)

if TYPE_CHECKING:
    from face_perception.speech.audio_chunks import (
        AudioChunk,
        AudioError,
        AudioSamples,
        chunk_from_bytes,
        make_chunk,
        to_int16,
    )
    from face_perception.speech.band_mouth import BandMouth
    from face_perception.speech.barge_in import BargeIn, BargeInSettings
    from face_perception.speech.channels import ChannelMixer
    from face_perception.speech.echo.echo_canceller import ECHO_RATE, EchoCanceller
    from face_perception.speech.mel_spectrogram import log_mel, triangular_filters
    from face_perception.speech.mfcc import MFCC_RATE, MFCC_STEP, MFCC_WINDOW, mfcc_frames
    from face_perception.speech.mouth_for_heads import VISEMES, blendshapes_of, visemes_of
    from face_perception.speech.mouth_shapes import (
        MOUTH_RATE,
        REST,
        Mouth,
        MouthShape,
        lip_distance,
    )
    from face_perception.speech.neural_mouth import MOUTH_NETWORKS, NeuralMouth, mouth_features
    from face_perception.speech.phoneme_mouth import PhonemeMouth, with_effort_of
    from face_perception.speech.sound_level import SoundLevel
    from face_perception.speech.speech_stream import SpeechSegment, SpeechStream
    from face_perception.speech.voice_activity import (
        VOICE_STEP,
        VoiceActivity,
        VoiceActivitySettings,
        VoiceState,
    )
    from face_perception.speech.voices.open_voice import DEFAULT_VOICE, open_voice
    from face_perception.speech.voices.sentences import LONGEST_PIECE, LONGEST_TEXT, split_text
    from face_perception.speech.voices.speak_text import speak_text
    from face_perception.speech.voices.utterance import Utterance, UtteranceChunk
    from face_perception.speech.voices.voice import (
        SPEEDS,
        Phone,
        SpokenText,
        TimedWord,
        Voice,
        VoiceError,
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
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "ARTICULATION_RATE",
    "BILABIALS",
    "BLOCK",
    "DEFAULT_VOICE",
    "ECHO_RATE",
    "LONGEST_PIECE",
    "LONGEST_TEXT",
    "MFCC_RATE",
    "MFCC_STEP",
    "MFCC_WINDOW",
    "MOUTH_NETWORKS",
    "MOUTH_RATE",
    "REST",
    "SPEEDS",
    "VISEMES",
    "VOICE_STEP",
    "VOWELS",
    "AudioChunk",
    "AudioError",
    "AudioSamples",
    "BandMouth",
    "BargeIn",
    "BargeInSettings",
    "ChannelMixer",
    "EchoCanceller",
    "Mouth",
    "MouthShape",
    "NeuralMouth",
    "Phone",
    "PhonemeMouth",
    "Recording",
    "SoundLevel",
    "SpeechSegment",
    "SpeechStream",
    "SpokenText",
    "TimedWord",
    "Utterance",
    "UtteranceChunk",
    "Voice",
    "VoiceActivity",
    "VoiceActivitySettings",
    "VoiceError",
    "VoiceState",
    "WhisperStateStream",
    "WhisperWindowStream",
    "articulation",
    "blendshapes_of",
    "chunk_from_bytes",
    "image_count",
    "image_windows",
    "letters",
    "lip_distance",
    "log_mel",
    "loudness",
    "make_chunk",
    "mfcc_frames",
    "mouth_features",
    "open_voice",
    "read_wav",
    "speak_text",
    "split_text",
    "to_int16",
    "triangular_filters",
    "visemes_of",
    "whisper_states",
    "window_starts",
    "with_effort",
    "with_effort_of",
]
