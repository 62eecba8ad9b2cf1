"""Smooths values over time. Times are stamps of images, not of the computer's clock."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError

FloatArray = npt.NDArray[np.floating]


class OneEuro:
    """Smooths an array of any shape with a one-euro filter, each element on its own.

    The filter is a low-pass. Its cut-off frequency, hertz, is ``min_cutoff`` + ``beta`` * speed, so
    that it smooths a still value strongly and lags little behind a fast one. The speed (units per
    second) is itself low-passed at ``d_cutoff`` hertz. Source: Casiez, Roussel and Vogel, "1 €
    Filter", CHI 2012.

    Raises InputError if a cut-off is not positive or ``beta`` is negative.

    >>> smooth = OneEuro(min_cutoff=1.0, beta=0.0)
    >>> [round(float(smooth(value, stamp)), 2) for value, stamp in [(0, 0.0), (1, 0.1), (1, 0.2)]]
    [0.0, 0.39, 0.62]
    """

    def __init__(self, min_cutoff: float, beta: float, d_cutoff: float = 1.0) -> None:
        if not min_cutoff > 0 or not d_cutoff > 0 or not beta >= 0:
            raise InputError(
                "a one-euro filter needs min_cutoff > 0, d_cutoff > 0 and beta >= 0, not "
                f"{min_cutoff}, {d_cutoff} and {beta}"
            )
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.d_cutoff = d_cutoff
        self.reset()

    def reset(self) -> None:
        """Forgets all values. The next one is returned unchanged."""
        self._shape: tuple[int, ...] | None = None  # of the values; None: there was none
        self._values: list[float] = []
        self._speeds: list[float] = []
        self._stamp = -math.inf

    def __call__(self, value: npt.ArrayLike, stamp: float) -> FloatArray:
        """Returns ``value`` smoothed, float64 and of the same shape, at ``stamp`` seconds.

        A repeated stamp returns the last result. A stamp that goes back or is NaN, or a value of
        another shape, resets the filter. An element that is not finite is returned as NaN and
        resets the filter for that element.
        """
        array = np.asarray(value, np.float64)
        now = [x if math.isfinite(x) else math.nan for x in array.ravel().tolist()]
        dt = stamp - self._stamp
        if array.shape != self._shape or not dt >= 0:
            self._shape, self._stamp = array.shape, stamp
            self._values, self._speeds = now, [0.0] * len(now)
        elif dt > 0:
            self._stamp = stamp
            self._step(now, dt)
        return np.array(self._values).reshape(array.shape)

    def _step(self, now: list[float], dt: float) -> None:
        """Moves the values towards those of an image that comes ``dt`` seconds later."""
        # Plain floats, because numpy is several times slower for so few numbers.
        share_of_speed = _share(self.d_cutoff, dt)
        for i, (x, last, before) in enumerate(zip(now, self._values, self._speeds, strict=True)):
            known = math.isfinite(last)
            speed = before + share_of_speed * (((x - last) / dt if known else 0.0) - before)
            self._speeds[i] = speed = speed if math.isfinite(speed) else 0.0
            share = _share(self.min_cutoff + self.beta * abs(speed), dt)
            self._values[i] = last + share * (x - last) if known else x


def _share(cutoff: float, dt: float) -> float:
    """Returns the weight of the new value in a first-order low-pass, in [0, 1].

    ``cutoff`` is in hertz, ``dt`` in seconds.
    """
    turn = 2 * math.pi * cutoff * dt
    return turn / (turn + 1)
