"""Tells a person from what is left of the robot's own voice, by level and by voice network."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from face_perception.speech.audio_chunks import AudioSamples

_WINDOW = 4  # steps of 32 ms: the network needs about 0.1 s, and levels vary between syllables
_QUIET, _QUIET_STEPS = 0.05, 150  # share of the last 4.8 s that is as quiet as the room
_LEAST = 1e-12  # power of silence
_RUMBLE = 3  # bins of 31 Hz
_WINDOWED = np.hanning(512) * math.sqrt(8 / 3)  # keeps the power
_MISSING = 1e-10  # a step with less power is a hole in the sound, not the quiet room
# RMS to which sound is amplified before the network hears it, by at most _MOST_GAIN: it misses soft
# voices in a noisy room. Measured by the level of the loudest _LOUDEST of the last seconds.
_HEARD_AT, _MOST_GAIN, _LOUDEST = 0.2, 30.0, 0.9
_SURE = 5.8  # most log odds of the network that count
# Logistic regression on the set "tuning" of bench/barge_in.py: one fitted to half of its rooms and
# persons does as well on the other half. Levels are in units of 10 dB.
_NOW, _LATELY, _LEFT, _LOUD, _TOGETHER, _BIAS = -1.17, 1.3, 1.8, 1.45, 1.14, -2.09
# Taken off the log odds, because persons talk far less over a robot than in those rooms. With less
# than 2.5 the robot sometimes interrupted itself there, and at 2.5 a loud noise does.
_RARE = 3.0


class VoiceOverEcho:
    """Gives the probability that a person talks while a loudspeaker plays, every 32 ms.

    The network alone is unsure of a voice that has passed the echo canceller. What also tells a
    person is that the canceller lets most of the sound pass.

    >>> over, loud = VoiceOverEcho(), np.tile(np.float32([0.1, -0.1]), 256)
    >>> over.probability(0.01, loud / 100, loud / 100)  # the quiet room
    0.01
    >>> [over.probability(0.3, loud, left * loud) > 0.5 for left in (0.03, 0.03, 0.9, 0.9)]
    [False, False, True, True]
    """

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=_QUIET_STEPS)  # dB
        self.reset()

    def reset(self) -> None:
        """Forgets the last steps. Call it before sound that does not continue."""
        self._levels.clear()
        self._window: deque[tuple[float, float, float]] = deque(maxlen=_WINDOW)

    def amplified(self, heard: AudioSamples, clean: AudioSamples) -> AudioSamples:
        """Returns ``clean`` [512] as loud as the network needs it; see ``probability``.

        It is returned unchanged where nothing was played.
        """
        if not self._levels or np.array_equal(heard, clean):
            return clean
        loud = 10 ** (float(np.quantile(self._levels, _LOUDEST)) / 20)
        gain = min(max(_HEARD_AT / loud, 1.0), _MOST_GAIN)
        made: AudioSamples = np.clip(clean * np.float32(gain), -1, 1)
        return made

    def probability(self, voice: float, heard: AudioSamples, clean: AudioSamples) -> float:
        """Takes a step [512] that was ``heard``, and what is left of it, ``clean`` [512].

        ``voice`` is the network's probability of speech in ``clean``; it is returned where nothing
        was played, so that both are the same.
        """
        before, after = _power(heard), _power(clean)
        if before > _MISSING:
            self._levels.append(_decibels(before))
        if np.array_equal(heard, clean):
            self._window.clear()
            return voice
        likely = min(max(voice, 1e-9), 1 - 1e-9)
        odds = min(max(math.log(likely / (1 - likely)), -_SURE), _SURE)
        self._window.append((odds, before, after))
        lately, before, after = np.mean(self._window, axis=0).tolist()
        left = min(max(_decibels(after) - _decibels(before), -30.0), 0.0) / 10
        quiet = float(np.quantile(self._levels or [0.0], _QUIET))  # dB
        loud = min(max(_decibels(before) - quiet, 0.0), 40.0) / 10
        z = _NOW * odds + _LATELY * lately + _LEFT * left + _LOUD * loud + _BIAS - _RARE
        z += _TOGETHER * max(lately + 3, 0) * (left + 3) / 3
        return 1 / (1 + math.exp(-z))


def _power(samples: AudioSamples) -> float:
    """Returns the mean square of a step [512] without its rumble below 94 Hz, where no voice is."""
    spectrum = np.fft.rfft(samples * _WINDOWED)[_RUMBLE:]
    return float(np.mean(np.abs(spectrum) ** 2) / len(samples))


def _decibels(power: float) -> float:
    return 10 * math.log10(power + _LEAST)
