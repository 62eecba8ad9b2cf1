"""Brings together messages of several topics that carry the same stamp, or nearly. No rclpy."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class StampJoin:
    """Groups values by stamp (nanoseconds) and hands each group out once, in the order of stamps.

    A group is handed out when it has all of ``expected``, or when a value whose stamp is more than
    ``wait`` newer arrives: then with what there is. Only groups that have ``anchor`` count; a value
    that comes after its group has gone is lost. An anchor far in the past (a bag that loops)
    clears; any other value may be late, and where it is of the round before it is lost. A value far
    in the future is forgotten with the next anchor.
    """

    def __init__(self, anchor: str, wait: float, limit: int = 64) -> None:
        self._anchor = anchor
        self._wait = int(wait * 1e9)
        self._limit = limit
        self._far = max(self._wait, 10**9)
        self._groups: dict[int, dict[str, Any]] = {}
        self._done = -1
        # The newest anchor of this round of a bag, and where the round before ended.
        self._newest = self._ended = -1

    def outdated(self, key: str, stamp: int) -> bool:
        """Whether a value is of a bag's round before this one, none of whose anchors is near it."""
        again = self._newest < self._ended
        return key != self._anchor and again and stamp > self._newest + self._far

    def add(
        self, key: str, stamp: int, value: Any, expected: frozenset[str]
    ) -> list[tuple[int, dict[str, Any]]]:
        """Takes a value; returns the groups that are ready, oldest first."""
        if key == self._anchor:
            if stamp < max(self._done, self._newest) - self._far:
                self._ended, self._newest, self._done = self._newest, -1, -1
                self._groups.clear()
            self._newest = max(self._newest, stamp)
            # Beside a stamp of a clock that is wrong all others would be overdue, for ever.
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
            # Later groups wait for this one, to keep the order, unless one is complete: then what
            # was missing here will not come any more.
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
    """Which keys are worth waiting for: those that had a value for most of the last anchors before
    one ``wait`` seconds newer was there. Whatever is slower, or leaves anchors out, would hold up
    every one of them.
    """

    _ANCHORS = 32  # that are judged by, about a second of a camera: as old as ``wait`` or older
    _SHARE = 0.75

    def __init__(self, anchor: str, wait: float) -> None:
        self._anchor = anchor
        self._wait = int(wait * 1e9)
        self.clear()

    def clear(self) -> None:
        self._anchors: deque[int] = deque()
        self._newest = 0
        self._in_time: dict[str, deque[int]] = {}

    def add(self, key: str, stamp: int) -> None:
        """A value of ``stamp`` nanoseconds has come."""
        if key == self._anchor:
            self._anchors.append(stamp)
            self._newest = stamp
            while len(self._anchors) > self._ANCHORS and self._due(self._anchors[self._ANCHORS]):
                self._anchors.popleft()
            for stamps in self._in_time.values():
                while stamps and stamps[0] < self._anchors[0]:
                    stamps.popleft()
        elif self._newest - stamp <= self._wait:
            self._in_time.setdefault(key, deque()).append(stamp)

    def _due(self, stamp: int) -> bool:
        return self._newest - stamp >= self._wait

    def kept(self) -> frozenset[str]:
        """The keys that keep pace; none before there is anything to tell it by."""
        due = {stamp for stamp in self._anchors if self._due(stamp)}
        least = self._SHARE * len(due)
        return frozenset(
            key for key, stamps in self._in_time.items() if due and len(due & {*stamps}) >= least
        )


class Newest(Generic[K, V]):
    """The newest value of each key for a stamp, not older than ``age`` seconds."""

    _MOST = 64  # of a key: those for stamps that are still to be asked for

    def __init__(self, age: float) -> None:
        self._age = int(age * 1e9)
        self.clear()

    def clear(self) -> None:
        self._values: dict[K, deque[tuple[int, V]]] = {}

    def add(self, key: K, stamp: int, value: V) -> None:
        """Keeps a value of ``stamp`` nanoseconds."""
        self._values.setdefault(key, deque(maxlen=self._MOST)).append((stamp, value))

    def at(self, stamp: int) -> dict[K, V]:
        """By key, the newest value up to ``stamp``; what is too old for it is forgotten."""
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
