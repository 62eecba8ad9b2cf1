"""Limits the memory that the process may take while an untrusted model is loaded."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

_lock = threading.Lock()


@contextlib.contextmanager
def memory_limit(headroom: int) -> Iterator[None]:
    """Lets the process take at most ``headroom`` more bytes within the block.

    A file of 200 bytes can describe a network that needs gigabytes. Allocations beyond the limit
    fail, and ONNX Runtime raises an exception for that. The limit holds for all threads of the
    process, because Linux has no narrower one; blocks in several threads wait for each other. Does
    nothing where the limit cannot be set.
    """
    with _lock:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _private_memory() + headroom
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft <= wanted:
            yield
            return
        try:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _private_memory() -> int:
    """Returns the private writable memory of the process, in bytes, as RLIMIT_DATA counts it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 1 << 62
