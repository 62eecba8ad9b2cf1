"""Counts, rates and latencies of a node, for its diagnostics. Does not import rclpy."""

from __future__ import annotations

import threading
from collections import Counter, deque

import numpy as np


class Statistics:
    """Counts events and latencies. Thread-safe.

    Rates and latencies are those of the last ``window`` seconds.
    """

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}
        self._latencies: deque[tuple[float, float]] = deque(maxlen=1000)
        self._first: dict[str, float] = {}
        self._totals: Counter[str] = Counter()

    def count(self, what: str, now: float) -> None:
        """Counts an event, such as "input" or "dropped", at monotonic ``now`` in seconds."""
        with self._lock:
            self._totals[what] += 1
            self._first.setdefault(what, now)
            times = self._times.setdefault(what, deque(maxlen=1000))
            times.append(now)

    def record_latency(self, seconds: float, now: float) -> None:
        """Records a latency, from the stamp of an input to the publication of its result."""
        with self._lock:
            self._latencies.append((now, seconds))

    def total(self, what: str) -> int:
        """Returns how many events of a kind were counted."""
        with self._lock:
            return self._totals[what]

    def totals(self, prefix: str) -> dict[str, int]:
        """Returns how many events were counted, by the rest of the name after ``prefix``."""
        with self._lock:
            return {
                what.removeprefix(prefix): number
                for what, number in self._totals.items()
                if what.startswith(prefix)
            }

    def rate(self, what: str, now: float) -> float:
        """Returns the rate of an event in Hz, over the window or since its first occurrence.

        If the event is counted in several kinds ("output faces", "output gaze" …), returns the
        highest rate.
        """
        with self._lock:
            kinds = [kind for kind in self._times if kind == what or kind.startswith(what + " ")]
            return max((self._rate(kind, now) for kind in kinds), default=0.0)

    def _rate(self, kind: str, now: float) -> float:
        start = max(now - self._window, self._first[kind])
        recent = sum(1 for t in self._times[kind] if t >= start)
        if recent < 2 or now <= start:
            return 0.0
        # n events at a steady rate span n - 1 periods: do not count the one at the start.
        opened = 1 if start == self._first[kind] else 0
        return (recent - opened) / (now - start)

    def latency_percentiles(self, now: float) -> tuple[float, float]:
        """Returns the 50th and 95th percentiles in seconds; NaN if the window has no latency."""
        with self._lock:
            recent = [s for t, s in self._latencies if t >= now - self._window]
        if not recent:
            return float("nan"), float("nan")
        p50, p95 = np.percentile(recent, (50, 95))
        return float(p50), float(p95)
