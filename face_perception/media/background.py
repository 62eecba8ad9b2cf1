"""Reads and writes frames in a second thread, while the caller works on others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def read_ahead(items: Iterable[_T]) -> Generator[_T, None, None]:
    """Yields ``items``, and gets the next one in a second thread meanwhile.

    Raises what ``items`` raises. Close it before what it reads from is closed.

    >>> list(read_ahead(range(3)))
    [0, 1, 2]
    """
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, iterator, end)
        while (item := following.result()) is not end:
            following = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # mypy does not see that it is not ``end``


class BackgroundWriter:
    """Calls a function in a second thread, in order; at most one call waits.

    ``submit`` and ``close`` raise what an earlier call raised. Close it when all is submitted.

    >>> import contextlib
    >>> written = []
    >>> with contextlib.closing(BackgroundWriter()) as writer:
    ...     for number in range(3):
    ...         writer.submit(written.append, number)
    >>> written
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[object] | None = None

    def submit(self, function: Callable[..., object], *args: object) -> None:
        """Waits for the call before the last one, and queues ``function(*args)``."""
        last, self._last = self._last, self._thread.submit(function, *args)
        if last is not None:
            last.result()

    def close(self) -> None:
        """Waits for the last call."""
        last, self._last = self._last, None
        self._thread.shutdown()
        if last is not None:
            last.result()
