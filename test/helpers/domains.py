"""A ROS domain for each test, also between processes. Imports neither ROS nor torch."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# People use domain 0. From 102 on, the ports of DDS (7400 + 250 * domain) are among those that
# Linux assigns to outgoing connections (from 32768).
DOMAINS = range(1, 101)
FOLDER = Path(tempfile.gettempdir()) / "face_perception_test_domains"

# Each process starts at another domain and continues from there, so that a domain is free for a
# while before its next use: nodes of the last test may still be shutting down.
_next = itertools.count(os.getpid() * 37)


@contextmanager
def locked_domain(folder: Path = FOLDER, timeout: float = 60.0) -> Iterator[int]:
    """Yields the number of a ROS domain that no other test on this machine uses meanwhile.

    Locks (flock) a file with the name of that domain; the system releases it when the process ends.
    Raises TimeoutError if all domains stay locked for ``timeout`` seconds.
    """
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # another user's folder; it is writable for all users
        folder.chmod(0o1777)
    end = time.monotonic() + timeout
    while True:
        for _ in DOMAINS:
            number = DOMAINS[next(_next) % len(DOMAINS)]
            file = os.open(folder / f"{number}.lock", os.O_RDONLY | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            try:
                yield number
            finally:
                os.close(file)
            return
        if time.monotonic() > end:
            raise TimeoutError(f"all ROS domains are locked by other tests: see {folder}")
        time.sleep(0.1)
