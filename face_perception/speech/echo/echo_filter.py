"""Learns how a microphone hears what is played, and subtracts it: a partitioned Kalman filter.

Kuech, Mabande and Enzner, "State-space architecture of the partitioned-block-based acoustic echo
controller", ICASSP 2014, with diagonal covariances.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK = 256  # samples: 16 ms at 16 kHz
_PARTITIONS = 26  # blocks: the filter hears echoes up to 0.41 s after the sound was played
# The path changes: of its square, this share is new in each block. It lets the filter follow what
# is left of the difference between the clocks: tens of ppm in the first seconds. Chosen among
# 0.0002 to 0.008 in simulated rooms like bench/barge_in.py's.
_CHANGE = 0.004
_FIRST = 0.5  # expected square of a coefficient before anything was learnt; louder echoes take long
_NOISE = 0.8  # share of the last estimate in that of the spectrum of all other sounds
_SLOWLY = 4  # each partition is shortened to a block once in so many blocks, which saves FFTs
_LEAST = 1e-9  # power spectrum of silence
_MISSING = 1e-6  # a sample below it is a hole in the sound that was filled: it has no echo

Samples = npt.NDArray[np.float64]


class EchoFilter:
    """Estimates the echo in blocks of 256 samples of a microphone.

    The step of the filter is small where other sounds are loud, so that it learns nothing from a
    person who talks at the same time.
    """

    def __init__(self) -> None:
        shape = (_PARTITIONS, BLOCK + 1)
        self._path = np.zeros(shape, np.complex128)  # from the loudspeaker to the microphone
        self._uncertainty = np.full(shape, _FIRST)  # variance of each coefficient of the path
        self._noise = np.full(BLOCK + 1, _LEAST)  # power spectrum of all other sounds
        self._turn = 0
        self.forget_sound()

    def forget_sound(self) -> None:
        """Forgets what was played, but not the path. Call it before sound that does not follow."""
        self._played = np.zeros(self._path.shape, np.complex128)  # spectra of the last blocks
        self._last = np.zeros(BLOCK)

    def echo_in(self, heard: Samples, played: Samples) -> Samples:
        """Returns the estimated echo [256] in a block [256] that the microphone heard, and learns.

        ``played`` [256] is what was played meanwhile. Learns nothing from missing samples.
        """
        self._played[1:] = self._played[:-1]
        self._played[0] = np.fft.rfft(np.concatenate([self._last, played]))
        self._last = played
        echo: Samples = np.fft.irfft((self._path * self._played).sum(0))[BLOCK:]
        echo[np.abs(heard) < _MISSING] = 0.0
        self._learn(np.fft.rfft(np.concatenate([np.zeros(BLOCK), heard - echo])))
        return echo

    def _learn(self, error: npt.NDArray[np.complex128]) -> None:
        power = np.abs(self._played) ** 2
        new = np.abs(error) ** 2
        self._noise = np.maximum(_NOISE * self._noise + (1 - _NOISE) * new, _LEAST)
        # The error is half zeros, so that its spectrum has half of the noise.
        step = self._uncertainty / ((power * self._uncertainty).sum(0) + 2 * self._noise)
        self._path += step * self._played.conj() * error
        turn = slice(self._turn % _SLOWLY, None, _SLOWLY)
        self._turn += 1
        response = np.fft.irfft(self._path[turn])
        response[:, BLOCK:] = 0  # each partition answers for a block
        self._path[turn] = np.fft.rfft(response)
        self._path *= np.sqrt(1 - _CHANGE)
        self._uncertainty *= (1 - _CHANGE) * (1 - 0.5 * step * power)
        self._uncertainty += _CHANGE * np.abs(self._path) ** 2
