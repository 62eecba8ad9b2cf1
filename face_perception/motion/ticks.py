"""Images of any rate onto an even clock: motion is measured in steps of the same length."""

from __future__ import annotations

import math
from dataclasses import dataclass

from face_perception.errors import InputError

_EARLY = 0.4  # of a period before a tick an image may be; not half, which is where 60 Hz has its
# The clock follows an image that is near its tick by this share of the distance. One that is
# farther comes at another rate, to which it must not yield.
_FOLLOW, _NEAR = 0.1, 0.25


@dataclass(frozen=True, slots=True)
class TickAdvance:
    """Where an image is on the clock. ``steps`` ticks after the last one (0: at the same tick, so
    not to be used); ``restarted`` where nothing before it counts: then ``steps`` is 1.
    """

    steps: int
    restarted: bool


class TickClock:
    """Ticks at ``rate`` hertz, to each of which the first image near it belongs.

    The clock begins at the first image and follows the images slowly, so that a camera of 29.97 Hz
    loses none and repeats none. ``max_gap``: seconds between two images after which it begins
    anew; it also does where a stamp goes back. Raises InputError where a setting is not positive.
    """

    def __init__(self, rate: float = 30.0, max_gap: float = 0.25) -> None:
        for name, value in (("rate", rate), ("max_gap", max_gap)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be positive, not {value}")
        self._period = 1 / rate
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """The next image begins the clock anew."""
        self._at = math.nan  # time of the last tick
        self._stamp = math.nan

    def tick(self, stamp: float) -> TickAdvance:
        """The tick of the image of ``stamp`` seconds."""
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
