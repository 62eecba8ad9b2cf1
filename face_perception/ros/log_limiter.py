"""Decides which warnings are logged again, so that a fault that lasts does not fill the log."""

from __future__ import annotations

import math
import re

_MOST_KEYS = 1000  # that are remembered: keys may hold names from the network
_MOST_FAULTS = 4  # that are told apart under one key
_COMPARED = 500  # first characters of a text by which faults are told apart
# What differs between two texts of one fault: numbers, and quoted names.
_VARYING = re.compile(r"'[^']*'|-?\d+(?:\.\d+)?")


class LogLimiter:
    """Allows one message for each key in ``period`` seconds.

    >>> limiter = LogLimiter(period=10.0)
    >>> [limiter.allows("late", now) for now in (0.0, 5.0, 10.0)]
    [True, False, True]
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._last: dict[str, float] = {}
        self._faults: dict[str, set[str]] = {}

    def allows(self, key: str, now: float) -> bool:
        """Returns whether a message may be logged at ``now`` (seconds), and counts it if so."""
        allowed = now - self._last.get(key, -math.inf) >= self._period
        if allowed:
            if len(self._last) >= _MOST_KEYS:
                self._last.clear()
            self._last[key] = now
        return allowed

    def fault(self, key: str, text: str) -> str:
        """Returns a key for the fault that ``text`` reports under ``key``.

        Texts that differ only in numbers and in quoted names report the same fault. Faults after
        the first few of a ``key`` share that key, because texts may hold names from the network.

        >>> limiter = LogLimiter(period=10.0)
        >>> one, same, other = (
        ...     limiter.fault("input", text) for text in ("3 bytes", "4 bytes", "no bytes")
        ... )
        >>> one == same, one == other
        (True, False)
        """
        if key not in self._faults and len(self._faults) >= _MOST_KEYS:
            self._faults.clear()
        faults = self._faults.setdefault(key, set())
        fault = f"{key}: {_VARYING.sub('#', text[:_COMPARED])}"
        if fault not in faults and len(faults) >= _MOST_FAULTS:
            return key
        faults.add(fault)
        return fault
