"""Finds the shared memory of Fast DDS that a process owns. Imports neither ROS nor torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LOCK = re.compile(r"/dev/shm/fast(?:dds|rtps)_[0-9a-f]{16}_el")


def locks_of(pid: int) -> set[Path]:
    """Returns the lock files of the segments that the process owns and keeps open.

    Other processes have segments in the same folder.
    """
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if _LOCK.fullmatch(target):
            found.add(Path(target))
    return found


def segment_of(lock: Path) -> Path:
    """Returns the segment of a lock file."""
    return Path(str(lock).removesuffix("_el"))
