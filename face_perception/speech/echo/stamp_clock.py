"""Tells the times of samples from stamps that are a little off, by a clock that runs off."""

from __future__ import annotations

import statistics
from collections import deque

_DRIFT = 5e-5  # usual error of the rate of a sound card's clock: 50 ppm
_WARMS = 2e-7  # by how much the rate changes in a second
# A stamp that is off by more than so many times the usual error does not count: it came late. If so
# many stamps in a row are off to the same side, samples are missing, or a clock was set.
_ODD, _MANY = 6.0, 8
_RECENT = 50  # stamps whose errors tell the usual one, if it is larger than expected


class StampClock:
    """Estimates time and rate of a stream of samples from its stamps, with a Kalman filter.

    ``jitter`` is the usual error of a stamp in seconds. ``time`` is when the next sample was heard,
    in seconds; ``rate`` is how many true seconds pass in one second of samples.

    >>> clock = StampClock(jitter=1e-3)
    >>> clock.begin(10.0)
    >>> for k in range(1, 3000):  # chunks of 20 ms, with a clock that is slow by 100 ppm
    ...     _ = clock.follow(0.02, 10.0 + 0.02 * k * (1 + 1e-4))
    >>> round((clock.rate - 1) * 1e6)
    100
    """

    def __init__(self, jitter: float) -> None:
        self._jitter, self._stamps_vary = jitter, jitter**2
        self._errors: deque[float] = deque(maxlen=_RECENT)  # sizes, seconds
        self.time, self.rate = 0.0, 1.0
        self._rate_varies = _DRIFT**2  # variance of the rate
        self.begin(0.0)

    def begin(self, time: float) -> None:
        """Begins with a stamp that does not continue the samples so far. Keeps the rate."""
        self.time = time
        self._time_varies, self._both = self._stamps_vary, 0.0
        self._odd: list[float] = []  # errors of the last stamps, which do not count; seconds

    def follow(self, seconds: float, stamp: float) -> bool:
        """Takes a stamp, ``seconds`` of samples after the one before.

        Returns whether the time was set again, because the stamps no longer continue.
        """
        self.time += seconds * self.rate
        self._time_varies += seconds * (2 * self._both + seconds * self._rate_varies)
        self._both += seconds * self._rate_varies
        self._rate_varies += seconds * _WARMS**2
        error = stamp - self.time
        if not abs(error) <= _ODD * self._usual_error(abs(error)):
            return self._add_odd(error)
        self._odd.clear()
        whole = self._time_varies + self._stamps_vary
        by_time, by_rate = self._time_varies / whole, self._both / whole
        self.time += by_time * error
        self.rate += by_rate * error
        self._rate_varies -= by_rate * self._both
        self._time_varies *= 1 - by_time
        self._both *= 1 - by_time
        return False

    def _usual_error(self, newest: float) -> float:
        """Returns the standard deviation of the stamps, seconds."""
        self._errors.append(newest)
        if len(self._errors) < _RECENT:
            return self._jitter
        return max(self._jitter, 1.5 * statistics.median(self._errors))

    def _add_odd(self, error: float) -> bool:
        """Notes a stamp that does not count; returns whether the time was set again."""
        if self._odd and not error * self._odd[-1] > 0:
            self._odd.clear()
        self._odd.append(error)
        if len(self._odd) < _MANY:
            return False
        self.begin(self.time + statistics.median(self._odd))
        return True
