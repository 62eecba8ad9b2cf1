"""Measures the level of sound over time, in pieces of 20 ms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from face_perception.speech.audio_chunks import AudioChunk

_STEP = 0.02  # seconds between two levels
_GAP = 0.1  # seconds; a stamp that is further off does not continue the sound
_FOLLOW = 0.1  # share of a smaller difference by which the clock of the sound is corrected
_SILENCE = 1e-10  # least power: -100 dB


class SoundLevel:
    """Turns chunks of sound into levels, whatever their length.

    A level is the power of 20 ms in dB relative to full scale, at least -100. A gap between the
    stamps, a stamp that goes back and another sample rate begin new sound.

    >>> tone = AudioChunk(5.0, 16_000, np.full(800, 0.1, np.float32))
    >>> stamp, levels = SoundLevel().push(tone)
    >>> stamp, levels.round(1).tolist()  # of 50 ms; the last 10 ms wait
    (5.0, [-20.0, -20.0])
    """

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._rate = 0
        self._stamp = 0.0  # of the first sample that waits, seconds

    def measure(self, chunk: AudioChunk) -> Iterator[tuple[float, float]]:
        """Takes a chunk as ``push`` does; yields middle (s) and level (dB) of each piece."""
        first, levels = self.push(chunk)
        for number, level in enumerate(levels.tolist()):
            yield first + (number + 0.5) * _STEP, level

    def push(self, chunk: AudioChunk) -> tuple[float, npt.NDArray[np.float64]]:
        """Takes a chunk with a stamp; returns the levels [N] that it completes.

        The first number is the stamp of the beginning of the first level, seconds.
        """
        waiting = len(self._rest) / self._rate if self._rate else 0.0
        late = chunk.stamp - (self._stamp + waiting)
        if chunk.rate != self._rate or not abs(late) <= _GAP:
            self._rest, self._rate = np.zeros(0, np.float32), chunk.rate
            self._stamp = chunk.stamp
        else:
            self._stamp += _FOLLOW * late
        samples = np.concatenate([self._rest, chunk.samples])
        size = round(_STEP * chunk.rate)
        count = len(samples) // size
        pieces = samples[: count * size].reshape(count, size).astype(np.float64)
        first = self._stamp
        self._rest = samples[count * size :]
        self._stamp += count * size / chunk.rate
        return first, 10 * np.log10((pieces**2).mean(axis=1) + _SILENCE)
