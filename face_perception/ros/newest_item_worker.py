"""A worker thread that processes the newest items and drops older ones."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestItemWorker(Generic[T]):
    """A thread that calls ``work(item)`` for queued items.

    The queue has ``waiting`` places; a new item drops the oldest from a full queue. When no item
    came for ``idle_after`` seconds after the last work, ``on_idle`` is called once, on the same
    thread. Exceptions of either are passed to ``on_error``, and the thread continues.
    ``on_step(True)`` is called when one of both begins, ``on_step(False)`` when it has ended.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[T], None],
        on_error: Callable[[Exception], None],
        *,
        waiting: int = 1,
        idle_after: float = 1.0,
        on_idle: Callable[[], None] | None = None,
        on_step: Callable[[bool], None] = lambda working: None,
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._idle_after, self._on_idle = idle_after, on_idle
        self._on_step = on_step
        self._condition = threading.Condition()
        self._items: deque[T] = deque(maxlen=waiting)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Queues an item. Returns True if an older, unprocessed item was dropped to make room."""
        with self._condition:
            dropped = len(self._items) == self._items.maxlen
            self._items.append(item)
            self._condition.notify()
            return dropped

    @property
    def has_backlog(self) -> bool:
        """Whether items are waiting."""
        return bool(self._items)

    def stop(self, timeout: float = 1.5) -> bool:
        """Stops the thread after the current item. Returns False after ``timeout`` seconds."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        on_idle: Callable[[], None] | None = None  # None until an item was processed
        while True:
            with self._condition:
                self._condition.wait_for(
                    lambda: self._items or self._stopped, self._idle_after if on_idle else None
                )
                if self._stopped:
                    return
                items = [self._items.popleft()] if self._items else []
            self._on_step(True)
            try:
                if items:
                    on_idle = self._on_idle
                    self._work(items[0])
                elif on_idle is not None:
                    idle, on_idle = on_idle, None
                    idle()
            except Exception as error:
                self._on_error(error)
            finally:
                self._on_step(False)
