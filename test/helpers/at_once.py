"""Ends a test whose reader hangs, and refuses it much memory."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from waits import scaled

from face_perception.inference.memory_limit import memory_limit

MEMORY = 300 << 20  # bytes that no file of less than a megabyte may take


class Hangs(BaseException):
    """No reader catches it."""


@contextlib.contextmanager
def at_once(memory: int = MEMORY) -> Iterator[None]:
    """Raises Hangs after 20 s, and lets allocations beyond ``memory`` bytes fail."""

    def end(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(int(scaled(20)))
    try:
        with memory_limit(memory):
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
