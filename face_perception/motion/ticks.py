"""Assigns images that come at any rate to the ticks of an even clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from face_perception.errors import InputError

# Share of a period by which an image may precede its tick. Not 0.5, because every second image of a
# 60 Hz camera lies there.
_EARLY = 0.4
# The clock follows an image within _NEAR periods of its tick by the share _FOLLOW of the distance.
# An image that is further off comes at another rate, which the clock must not follow.
_FOLLOW, _NEAR = 0.1, 0.25


@dataclass(frozen=True, slots=True)
class TickAdvance:
    """Tells how far an image advances the clock.

    ``steps`` is the number of ticks since the last image; 0 means the same tick, so the image is to
    be skipped. ``restarted`` is true if the clock has started again; then ``steps`` is 1.
    """

    steps: int
    restarted: bool


class TickClock:
    """Ticks at ``rate`` (Hz) and assigns to each tick the first image near it.

    Starts at the first image and follows the stamps slowly, so that no image of a 29.97 Hz camera
    is skipped or repeated. Starts again after a gap of ``max_gap`` (seconds) and if a stamp goes
    back. Raises InputError if a setting is not positive.

    >>> clock = TickClock(rate=30.0)
    >>> [clock.tick(k / 15).steps for k in range(4)]  # 15 images a second
    [1, 2, 2, 2]
    """

    def __init__(self, rate: float = 30.0, max_gap: float = 0.25) -> None:
        for name, value in (("rate", rate), ("max_gap", max_gap)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be positive, not {value}")
        self._period = 1 / rate
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Makes the clock start again at the next image."""
        self._at = math.nan  # time of the last tick, seconds
        self._stamp = math.nan

    def tick(self, stamp: float) -> TickAdvance:
        """Returns how far the image of ``stamp`` (seconds) advances the clock."""
        if not 0 <= stamp - self._stamp <= self._max_gap:
            self._at = self._stamp = stamp
            return TickAdvance(1, restarted=True)
        self._stamp = stamp
        steps = max(0, math.floor((stamp - self._at) / self._period + _EARLY))
        if steps:
            self._at += steps * self._period
            off = stamp - self._at
            if abs(off) < _NEAR * self._period:
                self._at += _FOLLOW * off
        return TickAdvance(steps, restarted=False)
