"""ROS domains for tests, one test each, also between processes. Knows neither ROS nor torch."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Domain 0 is what people use. From 102 on, DDS's ports (7400 + 250 * domain) lie among those that
# Linux hands out to outgoing connections (from 32768).
DOMAINS = range(1, 101)
FOLDER = Path(tempfile.gettempdir()) / "face_perception_test_domains"

# Each process begins at another domain and goes on from there, so that a domain rests before its
# next use: nodes of the last test may still be saying goodbye.
_next = itertools.count(os.getpid() * 37)


@contextmanager
def locked_domain(folder: Path = FOLDER, timeout: float = 60.0) -> Iterator[int]:
    """The number of a ROS domain that no other test on this machine uses until the block ends.

    Holds a lock (flock) on a file of that domain's name; the system releases it however the process
    ends. Raises TimeoutError if all domains stay locked for ``timeout`` seconds.
    """
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # another user's: writable for all since it was made
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
