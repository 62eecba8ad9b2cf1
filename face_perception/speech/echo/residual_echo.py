"""Attenuates what is left of an echo after a linear filter: distortion, late reverberation, drift.

For each frequency it learns how much of the estimated echo is left over, as a quantile, which a
person who talks for a moment barely changes.
"""

from __future__ import annotations

import numpy as np

from face_perception.speech.echo.echo_filter import BLOCK, Samples

# Chosen in the simulated rooms of bench/barge_in.py, by false and missed interruptions.
_QUANTILE = 0.7  # share of the blocks in which less echo is left over than estimated
_FAST = 1.0  # dB by which the estimate may change in a block
_SUBTRACTED = 3.0  # times the estimate are subtracted
_DECAY = 0.7  # of the echo in a room in 16 ms, in power, at most
_LEAST_GAIN = 0.03
_MOST, _FEWEST = 10.0, -30.0  # dB of the estimated echo that may be left over
_RUMBLE = 3  # bins of 31 Hz from 0 Hz on, which hold no speech; the voice network hears less there
_AUDIBLE = 1e-4  # least sum of the power spectrum of an echo, of samples in [-1, 1]


class ResidualEcho:
    """Attenuates the rest of the echo in blocks of 256 samples. Its output is a block late."""

    def __init__(self) -> None:
        self._left_over = np.zeros(BLOCK + 1)  # dB of the estimated echo
        self._window = np.sqrt(np.hanning(2 * BLOCK + 1)[:-1])
        self.forget_sound()

    def forget_sound(self) -> None:
        """Forgets the last blocks. Call it before sound that does not follow."""
        self._before = self._echo_before = np.zeros(BLOCK)
        self._overlap = np.zeros(BLOCK)
        self._lasting = np.zeros(BLOCK + 1)  # power spectrum of the echo, with its decay
        self._power = np.zeros(BLOCK + 1)

    def attenuate(self, rest: Samples, echo: Samples) -> Samples:
        """Returns the block before ``rest`` [256], without the residual of ``echo`` [256]."""
        spectrum = np.fft.rfft(self._window * np.concatenate([self._before, rest]))
        echo_power = (
            np.abs(np.fft.rfft(self._window * np.concatenate([self._echo_before, echo]))) ** 2
        )
        self._before, self._echo_before = rest, echo
        power = np.abs(spectrum) ** 2
        self._power = (self._power + power) / 2
        self._lasting = np.maximum(echo_power, _DECAY * self._lasting)
        residual = 10 ** (self._left_over / 10) * self._lasting
        if echo_power.sum() > _AUDIBLE:
            change = np.where(power > residual, _QUANTILE, _QUANTILE - 1) * _FAST
            self._left_over = np.clip(self._left_over + change, _FEWEST, _MOST)
        gain = 1 - _SUBTRACTED * residual / np.maximum(self._power, 1e-12)
        gain = np.maximum(gain, _LEAST_GAIN)
        gain[:_RUMBLE] = 0
        whole = self._window * np.fft.irfft(gain * spectrum)
        out: Samples = self._overlap + whole[:BLOCK]
        self._overlap = whole[BLOCK:]
        return out
