"""Compensates a sender of speech whose clock is slower than the player's: repeats silence.

The opposite, a faster sender, needs no compensation: the speech only waits a little longer. How the
picture follows a skewed player is another matter: see ``audio_clock``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

# All times are in seconds.
_STRETCH = 0.01  # length of the silence that is repeated
# Repeats when the speech that waits is this much shorter than the largest amount so far.
_STRETCH_BELOW = 0.012
_QUIET = 0.006  # largest absolute sample of silence
_SMOOTH = 0.1  # weight of the newest chunk in the running mean of the waiting time


class ClockSkew:
    """Stretches the pauses of one utterance so that the player does not run out of speech.

    If the sender's clock is slower than the player's, less and less speech waits to be played, and
    in a long utterance the player would run dry. This class observes how much speech waits at each
    chunk, and repeats the last 10 ms of a quiet chunk when too little does. A loud chunk is never
    stretched. ``delay`` is the time in seconds from the arrival of speech until it is played; more
    waiting speech than that is not needed.

    >>> skew = ClockSkew(delay=0.1)
    >>> pause = {16_000: np.zeros(320, np.float32)}  # 20 ms
    >>> skew.repeated_silence(pause, waiting=0.1)  # enough
    {}
    >>> more = [skew.repeated_silence(pause, waiting=0.08) for _ in range(20)]
    >>> sum(len(samples[16_000]) for samples in more if samples)  # twice 10 ms
    320
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self.reset()

    def reset(self) -> None:
        """Forgets the utterance. Call it when another one begins."""
        # Speech that waits when a chunk arrives: running mean, and its largest value.
        self._mean = self._most = math.nan

    def repeated_silence(self, chunk: Mapping[int, Samples], waiting: float) -> dict[int, Samples]:
        """Returns the silence to play before a chunk: samples by rate, or nothing if not needed.

        ``chunk`` has the samples [N] of the same speech by rate in hertz. ``waiting`` is how many
        seconds of speech wait to be played; 0 if the player has run dry, which is not compensated.
        """
        if not waiting:
            return {}
        if math.isnan(self._mean):
            self._mean = self._most = waiting
        self._mean += _SMOOTH * (waiting - self._mean)
        self._most = min(max(self._most, self._mean), self._delay)
        if not _is_quiet(chunk) or self._mean >= self._most - _STRETCH_BELOW:
            return {}
        self._mean += _STRETCH
        return {rate: samples[-round(_STRETCH * rate) :] for rate, samples in chunk.items()}


def _is_quiet(chunk: Mapping[int, Samples]) -> bool:
    return all(
        len(samples) >= _STRETCH * rate and np.abs(samples).max() < _QUIET
        for rate, samples in chunk.items()
    )
