"""Tells the times of samples from stamps that are a little off, by a clock that runs off."""

from __future__ import annotations

_DRIFT = 5e-5  # usual error of the rate of a sound card's clock: 50 ppm
_WARMS = 2e-7  # by how much the rate changes in a second


class StampClock:
    """Estimates time and rate of a stream of samples from its stamps, with a Kalman filter.

    ``jitter`` is the usual error of a stamp in seconds. ``time`` is when the next sample was heard,
    in seconds; ``rate`` is how many true seconds pass in one second of samples.

    >>> clock = StampClock(jitter=1e-3)
    >>> clock.begin(10.0)
    >>> for k in range(1, 3000):  # chunks of 20 ms, with a clock that is slow by 100 ppm
    ...     clock.follow(0.02, 10.0 + 0.02 * k * (1 + 1e-4))
    >>> round((clock.rate - 1) * 1e6)
    100
    """

    def __init__(self, jitter: float) -> None:
        self._stamps_vary = jitter**2
        self.time, self.rate = 0.0, 1.0
        self._rate_varies = _DRIFT**2  # variance of the rate
        self.begin(0.0)

    def begin(self, time: float) -> None:
        """Begins with a stamp that does not continue the samples so far. Keeps the rate."""
        self.time = time
        self._time_varies, self._both = self._stamps_vary, 0.0

    def follow(self, seconds: float, stamp: float) -> None:
        """Takes a stamp, ``seconds`` of samples after the one before."""
        self.time += seconds * self.rate
        self._time_varies += seconds * (2 * self._both + seconds * self._rate_varies)
        self._both += seconds * self._rate_varies
        self._rate_varies += seconds * _WARMS**2
        whole = self._time_varies + self._stamps_vary
        error, by_time, by_rate = stamp - self.time, self._time_varies / whole, self._both / whole
        self.time += by_time * error
        self.rate += by_rate * error
        self._rate_varies -= by_rate * self._both
        self._time_varies *= 1 - by_time
        self._both *= 1 - by_time
