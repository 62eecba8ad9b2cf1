"""One thread that works on the newest items only: nothing is ever inferred on a stale one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Calls ``work(item)`` on its own thread with the newest item put; older ones are dropped.

    ``waiting`` is how many newest items may wait, for work that needs all of them and takes longer
    for some. An exception in ``work`` goes to ``on_error`` and the thread goes on.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[T], None],
        on_error: Callable[[Exception], None],
        *,
        waiting: int = 1,
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._condition = threading.Condition()
        self._items: deque[T] = deque(maxlen=waiting)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Hands over an item; returns whether one that nobody had begun was dropped for it."""
        with self._condition:
            dropped = len(self._items) == self._items.maxlen
            self._items.append(item)
            self._condition.notify()
            return dropped

    def stop(self, timeout: float = 1.5) -> bool:
        """Ends the thread after the item in work; false if that takes longer than ``timeout``."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._items and not self._stopped:
                    self._condition.wait()
                if self._stopped:
                    return
                item = self._items.popleft()
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)
