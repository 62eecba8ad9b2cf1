"""Joins messages of several topics by stamp. Does not import rclpy."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class StampJoin:
    """Groups values by stamp (nanoseconds), and returns each group once, in the order of stamps.

    A group is complete when it has a value of all expected keys. An incomplete group is returned
    when a value arrives whose stamp is more than ``wait`` seconds newer, when a newer group is
    complete, or when there are more than ``limit`` groups. Groups without a value of the key
    ``anchor`` are dropped, and so are values whose group has been returned.

    An anchor with a stamp far in the past means that a bag has started again. All groups are then
    dropped, and so are late values of the previous round. Each anchor also drops the groups with
    stamps far in its future.
    """

    def __init__(self, anchor: str, wait: float, limit: int = 64) -> None:
        self._anchor = anchor
        self._wait = int(wait * 1e9)
        self._limit = limit
        self._far = max(self._wait, 10**9)
        self._groups: dict[int, dict[str, Any]] = {}
        self._done = -1
        # Stamps of the newest anchor, and of the last anchor before the bag started again.
        self._newest = self._ended = -1

    def outdated(self, key: str, stamp: int) -> bool:
        """Returns whether a value belongs to the previous round of a bag that started again."""
        again = self._newest < self._ended
        return key != self._anchor and again and stamp > self._newest + self._far

    def add(
        self, key: str, stamp: int, value: Any, expected: frozenset[str]
    ) -> list[tuple[int, dict[str, Any]]]:
        """Adds a value. Returns the groups that are ready, (stamp, values by key), oldest first."""
        if key == self._anchor:
            if stamp < max(self._done, self._newest) - self._far:
                self._ended, self._newest, self._done = self._newest, -1, -1
                self._groups.clear()
            self._newest = max(self._newest, stamp)
            # A stamp far in the future, from a wrong clock, would make all other groups overdue.
            for wrong in [at for at in self._groups if at > stamp + self._far]:
                del self._groups[wrong]
        if stamp <= self._done or self.outdated(key, stamp):
            return []
        self._groups.setdefault(stamp, {})[key] = value
        newest = max(self._groups)
        ready = []
        for at in sorted(self._groups):
            group = self._groups[at]
            complete = self._anchor in group and expected <= group.keys()
            overdue = newest - at > self._wait or len(self._groups) > self._limit
            # Later groups wait for this one, to keep the order, unless one of them is complete:
            # then the missing values of this one will not arrive any more.
            overtaken = any(
                expected | {self._anchor} <= self._groups[later].keys()
                for later in self._groups
                if later > at
            )
            if not (complete or overdue or overtaken):
                break
            del self._groups[at]
            self._done = at
            if self._anchor in group:
                ready.append((at, group))
        return ready


class Pace:
    """Finds the keys that are worth waiting for.

    These are the keys with a value for most of the last anchors within ``wait`` seconds. Keys that
    are slower, or skip anchors, would delay every group.
    """

    _ANCHORS = 32  # anchors older than ``wait`` that count, about a second of a camera
    _SHARE = 0.75  # of these anchors that must have a value in time
    _MOST = 1000  # stamps that are kept for each key

    def __init__(self, anchor: str, wait: float) -> None:
        self._anchor = anchor
        self._wait = int(wait * 1e9)
        self.clear()

    def clear(self) -> None:
        self._anchors: deque[int] = deque()
        self._newest = 0
        self._in_time: dict[str, deque[int]] = {}

    def add(self, key: str, stamp: int) -> None:
        """Notes that a value with ``stamp`` (nanoseconds) has arrived."""
        if key == self._anchor:
            self._anchors.append(stamp)
            self._newest = stamp
            while len(self._anchors) > self._ANCHORS and self._due(self._anchors[self._ANCHORS]):
                self._anchors.popleft()
            for stamps in self._in_time.values():
                while stamps and stamps[0] < self._anchors[0]:
                    stamps.popleft()
        elif self._newest - stamp <= self._wait:
            # Without images nothing is removed, so the number is limited.
            self._in_time.setdefault(key, deque(maxlen=self._MOST)).append(stamp)

    def _due(self, stamp: int) -> bool:
        return self._newest - stamp >= self._wait

    def kept(self) -> frozenset[str]:
        """Returns the keys that are worth waiting for; none until there are enough anchors."""
        due = {stamp for stamp in self._anchors if self._due(stamp)}
        least = self._SHARE * len(due)
        return frozenset(
            key for key, stamps in self._in_time.items() if due and len(due & {*stamps}) >= least
        )


class Newest(Generic[K, V]):
    """Keeps the newest value of each key, up to an age of ``age`` seconds."""

    _MOST = 64  # values that are kept for each key, for stamps that are not requested yet
    _MOST_KEYS = 1000  # keys hold names from the network, and are removed only when images come

    def __init__(self, age: float) -> None:
        self._age = int(age * 1e9)
        self.clear()

    def clear(self) -> None:
        self._values: dict[K, deque[tuple[int, V]]] = {}

    def add(self, key: K, stamp: int, value: V) -> None:
        """Keeps a value with ``stamp`` in nanoseconds."""
        if key not in self._values and len(self._values) >= self._MOST_KEYS:
            del self._values[next(iter(self._values))]  # the oldest
        self._values.setdefault(key, deque(maxlen=self._MOST)).append((stamp, value))

    def at(self, stamp: int) -> dict[K, V]:
        """Returns by key the newest value with a stamp up to ``stamp``, and drops older values."""
        found = {}
        for key, values in list(self._values.items()):
            while values and values[0][0] < stamp - self._age:
                values.popleft()
            if not values:
                del self._values[key]
            known = [(at, value) for at, value in values if at <= stamp]
            if known:
                found[key] = max(known, key=lambda pair: pair[0])[1]
        return found
