"""Brings together messages of several topics that carry the same stamp. No rclpy."""

from __future__ import annotations

from typing import Any


class StampJoin:
    """Groups values by stamp (nanoseconds) and hands each group out once, in the order of stamps.

    A group is handed out when it has all of ``expected``, or when a value whose stamp is more than
    ``wait`` newer arrives: then with what there is. Only groups that have ``anchor`` count; a value
    that comes after its group has gone is lost. A stamp far in the past (a bag that loops) clears.
    """

    def __init__(self, anchor: str, wait: float, limit: int = 64) -> None:
        self._anchor = anchor
        self._wait = int(wait * 1e9)
        self._limit = limit
        self._groups: dict[int, dict[str, Any]] = {}
        self._done = -1

    def clear(self) -> None:
        self._groups.clear()
        self._done = -1

    def add(
        self, key: str, stamp: int, value: Any, expected: frozenset[str]
    ) -> list[tuple[int, dict[str, Any]]]:
        """Takes a value; returns the groups that are ready, oldest first."""
        if stamp < self._done - max(self._wait, 10**9):
            self.clear()
        if stamp <= self._done:
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
