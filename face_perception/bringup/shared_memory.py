"""Removes the shared memory of Fast DDS processes that were killed. Knows no ROS.

A participant's segment (35 MB with our profile) is in memory until a file is removed, which a
process that is killed does not do any more; a node that dies every minute fills a robot's memory in
half a day. The tool `fastdds shm clean` does the same by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from pathlib import Path

_FOLDER = Path("/dev/shm")
# A participant's own segment; ports are shared, and Fast DDS takes over those left behind.
_LOCK = re.compile(r"(fast(?:dds|rtps)_[0-9a-f]{16})_el")


def remove_orphans(older_than: float = 5.0, folder: Path = _FOLDER) -> int:
    """Removes segments whose process is gone; returns how many.

    Its owner holds a lock on a file beside each, which the system releases however it ends. Younger
    ones than ``older_than`` seconds are left: between making that file and locking it is a moment.
    """
    removed = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for name in names:
        match = _LOCK.fullmatch(name)
        if match:
            with contextlib.suppress(OSError):  # another user's, or removed meanwhile
                removed += _remove_unless_held(folder / name, folder / match[1], older_than)
    return removed


def _remove_unless_held(lock: Path, segment: Path, older_than: float) -> bool:
    with open(lock, "rb") as file:
        if time.time() - os.fstat(file.fileno()).st_mtime < older_than:
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its owner lives
        segment.unlink(missing_ok=True)
        lock.unlink()
    return True
