"""Smoothing of values that come with stamps. Knows no face and no image."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError

FloatArray = npt.NDArray[np.floating]


class OneEuro:
    """One-euro filter of an array of any shape, element by element, on measured time.

    A low-pass whose cut-off follows the speed of each element: ``min_cutoff`` + ``beta`` * speed,
    in hertz, with the speed (units a second) itself low-passed at ``d_cutoff`` hertz. Source:
    Casiez, Roussel and Vogel, "1 € Filter", CHI 2012.

    Raises InputError where a cut-off is not positive or ``beta`` is negative.
    """

    def __init__(self, min_cutoff: float, beta: float, d_cutoff: float = 1.0) -> None:
        if not min_cutoff > 0 or not d_cutoff > 0 or not beta >= 0:
            raise InputError(
                f"one-euro needs min_cutoff > 0, d_cutoff > 0, beta >= 0, not {min_cutoff}, "
                f"{d_cutoff}, {beta}"
            )
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.d_cutoff = d_cutoff
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next value passes unchanged."""
        self._value: FloatArray | None = None
        self._speed: FloatArray = np.zeros(())
        self._stamp = -math.inf

    def __call__(self, value: npt.ArrayLike, stamp: float) -> FloatArray:
        """The smoothed value, float64, of the shape given, at ``stamp`` seconds.

        A repeated stamp gives the last result again; a stamp that goes back, or another shape,
        starts afresh. Elements that are not finite pass as NaN and start afresh at their next
        finite value.
        """
        x = np.asarray(value, np.float64)
        last = self._value
        if last is None or last.shape != x.shape or stamp < self._stamp:
            self._speed = np.zeros_like(x)
            self._value, self._stamp = x.copy(), stamp
            return x.copy()
        dt = stamp - self._stamp
        if dt == 0:
            return last.copy()
        known = np.isfinite(last)
        speed = np.where(known, (x - last) / dt, 0.0)
        speed = self._speed + _share(self.d_cutoff, dt) * (speed - self._speed)
        self._speed = np.where(np.isfinite(speed), speed, 0.0)
        share = _share(self.min_cutoff + self.beta * np.abs(self._speed), dt)
        self._value = np.where(known, last + share * (x - last), x)
        self._stamp = stamp
        return self._value.copy()


def _share(cutoff: npt.ArrayLike, dt: float) -> FloatArray:
    """Weight [0, 1] of the new value in a first-order low-pass."""
    turn = 2 * math.pi * np.asarray(cutoff, np.float64) * dt
    return turn / (turn + 1)
