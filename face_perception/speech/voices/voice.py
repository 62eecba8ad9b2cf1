"""Defines what a voice is: something that turns a sentence into sound, with times if it knows them.

Contains values and a protocol only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from face_perception.errors import FacePerceptionError
from face_perception.speech.audio_chunks import AudioSamples

SPEEDS = (0.5, 2.0)  # slowest and fastest speed, relative to the usual one of a voice


class VoiceError(FacePerceptionError, RuntimeError):
    """A voice failed, or made sound that cannot be used. The message names the voice."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A phoneme in IPA without stress marks, or ``""`` for a pause; times in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as it is written in the text, with the time in which it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SpokenText:
    """Speech of a voice.

    - ``samples``: mono float32 [N] in [-1, 1].
    - ``rate``: samples per second, the same for all texts of a voice.
    - ``phones``: the phonemes in order, without gaps. Empty if the voice does not know their times.
    - ``words``: the words in order. Empty if the voice does not know their times.

    Times are in seconds from the first sample.
    """

    samples: AudioSamples
    rate: int
    phones: tuple[Phone, ...] = ()
    words: tuple[TimedWord, ...] = ()

    @property
    def duration(self) -> float:
        """Returns the length in seconds."""
        return len(self.samples) / self.rate


class Voice(Protocol):
    """Turns text into speech. One thread calls it.

    A package adds voices by an entry point of the group ``face_perception_voices``. It names a
    function that takes the name of a voice (empty: the default one) and returns a ``Voice``;
    docs/nodes/voice.md has an example.

    A voice that hums each letter for 50 ms:

    >>> import numpy as np
    >>> class HummingVoice:
    ...     name = "humming"
    ...     def synthesise(self, text, speed):
    ...         count = round(0.05 * len(text) / speed * 16_000)
    ...         return SpokenText(np.sin(np.arange(count) / 20).astype(np.float32), 16_000)
    >>> HummingVoice().synthesise("hello", 1.0).duration
    0.25
    """

    name: str

    def synthesise(self, text: str, speed: float) -> SpokenText:
        """Returns the speech of a sentence: at most ``LONGEST_PIECE`` characters, on one line.

        ``speed`` is relative to the usual speed, in ``SPEEDS``. Raises InputError if the text has
        nothing that this voice can say, and MissingDependencyError if a program or package fails.
        """
        ...
