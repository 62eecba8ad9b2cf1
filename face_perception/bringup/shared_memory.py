"""Removes the shared memory that killed Fast DDS processes leave behind, and finds that of others.

A participant has a segment in /dev/shm (35 MB with the profile of this package), which a killed
process does not remove. A node that crashes every minute would fill a robot's memory in half a day.
The command `fastdds shm clean` does the same by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import time
from pathlib import Path
from typing import IO

from face_perception.files import open_regular

_FOLDER = Path("/dev/shm")
# Lock file of a participant's segment. Fast DDS reuses the segments of ports itself.
_LOCK = re.compile(r"(fast(?:dds|rtps)_[0-9a-f]{16})_el")


def remove_orphans(older_than: float = 5.0, folder: Path = _FOLDER) -> int:
    """Removes segments whose process has ended, and returns their number.

    The owner of a segment locks a file ``_el``, and the system releases the lock when the process
    ends. Keeps segments that are younger than ``older_than`` seconds, because the owner makes the
    file a moment before it locks it.
    """
    removed = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for name in names:
        match = _LOCK.fullmatch(name)
        if match:
            with contextlib.suppress(OSError):  # it belongs to another user, or was removed
                removed += _remove_unless_held(folder / name, folder / match[1], older_than)
    return removed


def other_users(folder: Path = _FOLDER) -> list[str]:
    """Returns the names of other users whose Fast DDS processes run, or their numbers.

    Fast DDS makes its shared memory so that only its owner may write into it. Processes of two
    users therefore see each other's topics, and receive nothing.
    """
    found = set()
    with contextlib.suppress(OSError):
        for name in filter(_LOCK.fullmatch, os.listdir(folder)):
            with (
                contextlib.suppress(OSError),
                open_regular(folder / name, follow_links=False) as file,
            ):
                owner = os.fstat(file.fileno()).st_uid
                if owner != os.getuid() and _is_held(file):
                    found.add(_user_name(owner))
    return sorted(found)


def _is_held(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _remove_unless_held(lock: Path, segment: Path, older_than: float) -> bool:
    # Every user can put files there, also a named pipe or a link with the name of a lock.
    with open_regular(lock, follow_links=False) as file:
        if time.time() - os.fstat(file.fileno()).st_mtime < older_than:
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its owner is running
        segment.unlink(missing_ok=True)
        lock.unlink()
    return True
