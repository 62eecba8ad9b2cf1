"""What this process may use of the machine: all of it, or its share beside other processes."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineShare:
    """The share of one of several processes that compute at the same time.

    It may use so many ``processors``. Its ``number`` counts from 0; no two have the same.
    """

    processors: int
    number: int = 0


_share: MachineShare | None = None


def take_share(share: MachineShare) -> None:
    """Makes ``share`` that of this process."""
    global _share
    _share = share


def own_share() -> MachineShare | None:
    """Returns the share of this process; None if it has the machine to itself."""
    return _share


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if _share is None else _share.processors
