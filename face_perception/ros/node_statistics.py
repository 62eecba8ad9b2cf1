"""Counts, rates and latencies of one node, for its diagnostics. No rclpy."""

from __future__ import annotations

import threading
from collections import Counter, deque

import numpy as np


class Statistics:
    """Thread-safe. Rates and latencies are over the last ``window`` seconds."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}
        self._latencies: deque[tuple[float, float]] = deque(maxlen=1000)
        self._first: dict[str, float] = {}
        self._totals: Counter[str] = Counter()

    def count(self, what: str, now: float) -> None:
        """One more input, output, drop ... at a monotonic time, seconds."""
        with self._lock:
            self._totals[what] += 1
            self._first.setdefault(what, now)
            times = self._times.setdefault(what, deque(maxlen=1000))
            times.append(now)

    def latency(self, seconds: float, now: float) -> None:
        """From the stamp of an input to the publishing of what came of it."""
        with self._lock:
            self._latencies.append((now, seconds))

    def total(self, what: str) -> int:
        with self._lock:
            return self._totals[what]

    def rate(self, what: str, now: float) -> float:
        """Events per second over the window, or since the first where that is less long ago.

        Of kinds of one event, counted as "output faces", "output gaze" ..., the busiest.
        """
        with self._lock:
            kinds = [kind for kind in self._times if kind == what or kind.startswith(what + " ")]
            return max((self._rate(kind, now) for kind in kinds), default=0.0)

    def _rate(self, kind: str, now: float) -> float:
        start = max(now - self._window, self._first[kind])
        recent = sum(1 for t in self._times[kind] if t >= start)
        if recent < 2 or now <= start:
            return 0.0
        # An event at the very start opens the first interval and is not one.
        opened = 1 if start == self._first[kind] else 0
        return (recent - opened) / (now - start)

    def latency_percentiles(self, now: float) -> tuple[float, float]:
        """(p50, p95) in seconds, NaN where nothing was published within the window."""
        with self._lock:
            recent = [s for t, s in self._latencies if t >= now - self._window]
        if not recent:
            return float("nan"), float("nan")
        p50, p95 = np.percentile(recent, (50, 95))
        return float(p50), float(p95)
