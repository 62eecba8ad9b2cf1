"""Estimates how far the clock of the sound is off the camera's, from lips that move with it."""

from __future__ import annotations

import math

import numpy as np

from face_perception.attention.lip_motion import GRID_STEP
from face_perception.types import FloatArray

LONGEST_DELAY = 0.6  # seconds, in both directions
LAGS = round(LONGEST_DELAY / GRID_STEP)  # steps of the grid
_MEMORY = 30.0  # seconds of speech after which old ones count 37 %
_LEAST = 4.0  # seconds of speech
# Of two signals without relation that are as long as 0.1 s, the correlation has a standard
# deviation of about 1: 0.26 over 1.6 s (10 GRID clips with the sound of another one).
_INDEPENDENT = 0.1  # seconds
_CERTAIN = 4.5  # standard deviations of chance, for the highest of 61 lags
_RIVAL = 0.75  # share of the highest correlation that another peak may reach
_PEAK = 0.1  # seconds; half the width of a peak


class SoundDelay:
    """Finds the delay at which the change of the sound's level fits that of the lips best.

    ``seconds`` is the delay: positive if the stamps of the sound are later than those of the images
    that belong to them. It is NaN until enough speech was seen, and 0.6 s at most in both
    directions. A delay beyond that is not found.
    """

    def __init__(self) -> None:
        self._products = np.zeros(2 * LAGS + 1)
        self._lips = self._sound = self._time = 0.0
        self.seconds = math.nan

    def add(self, lips: FloatArray, sound: FloatArray) -> None:
        """Takes a piece of speech on the grid of ``lip_motion``.

        ``lips`` [N] is the change of the opening, ``sound`` [N + 2 * LAGS] that of the level, from
        ``LONGEST_DELAY`` before the first to as long after the last value of the lips. Pieces with
        values that are not finite are left out.
        """
        if not (np.isfinite(lips).all() and np.isfinite(sound).all()):
            return
        kept = math.exp(-len(lips) * GRID_STEP / _MEMORY)
        self._products = self._products * kept + np.correlate(sound, lips, "valid")
        self._lips = self._lips * kept + float(lips @ lips)
        self._sound = self._sound * kept + float(sound @ sound) * len(lips) / len(sound)
        self._time = self._time * kept + len(lips) * GRID_STEP
        self.seconds = self._estimate()

    def _estimate(self) -> float:
        energy = math.sqrt(self._lips * self._sound)
        if self._time < _LEAST or not energy > 0:
            return math.nan
        correlation = self._products / energy
        best = int(np.argmax(correlation))
        peak = float(correlation[best])
        lags = np.arange(-LAGS, LAGS + 1)
        rivals = correlation[np.abs(lags - lags[best]) * GRID_STEP > _PEAK]
        chance = math.sqrt(_INDEPENDENT / self._time)
        if peak < _CERTAIN * chance or rivals.max(initial=0.0) > _RIVAL * peak:
            return math.nan
        return float((lags[best] + _vertex(correlation, best)) * GRID_STEP)


def _vertex(values: FloatArray, at: int) -> float:
    """Returns where the parabola through three values peaks, in steps from the middle one."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, middle, after = values[at - 1 : at + 2].tolist()
    bend = before - 2 * middle + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
