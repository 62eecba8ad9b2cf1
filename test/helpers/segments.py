"""Which shared memory of Fast DDS belongs to a process. Knows neither ROS nor torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LOCK = re.compile(r"/dev/shm/fast(?:dds|rtps)_[0-9a-f]{16}_el")


def locks_of(pid: int) -> set[Path]:
    """The lock files of the segments that the process owns: it keeps them open while it lives.

    Other processes have segments of their own in the same folder, and come and go.
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
    """The segment that a lock file belongs to."""
    return Path(str(lock).removesuffix("_el"))
