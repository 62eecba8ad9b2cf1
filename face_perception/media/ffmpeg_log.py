"""Finds out what FFmpeg logs as errors, and leaves the log to the program that uses this package.

The whole process shares the log of PyAV. PyAV drops it, unless the program sets a level with
``av.logging.set_level``; then it gives messages to Python's ``logging``.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def errors_of_ffmpeg(av: Any) -> Iterator[list[Any]]:
    """Gives a list of the errors that FFmpeg logs within this thread and block.

    Afterwards, the log has the level of before, and has passed on what is for that level. Other
    threads may use it at the same time. A callback of FFmpeg itself
    (``av.logging.restore_default_callback``) is not kept, because it cannot be read.
    """
    errors: list[Any] = []
    with _SHARED.with_errors(av.logging), av.logging.Capture() as logs:
        try:
            yield errors
        finally:
            # The caller looks at them after the block.
            errors += [log for log in logs if log[0] <= av.logging.ERROR]
    if logs:
        _SHARED.pass_on(av.logging, logs)


class _SharedLog:
    """The level of the log while blocks, in any number of threads, ask for errors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking = 0  # number of blocks
        self._level: int | None = None  # that of the program
        self._skips = True  # whether the program wants repeated messages once
        self._dropped: Any = None  # gets what other threads log, if the program set no level

    @contextlib.contextmanager
    def with_errors(self, log: Any) -> Iterator[None]:
        with self._lock:
            if not self._asking:
                self._begin(log)
            self._asking += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1
                if not self._asking:
                    self._end(log)

    def pass_on(self, log: Any, captured: list[tuple[int, str, str]]) -> None:
        """Logs again what was captured, as far as it is for the level of the program."""
        with self._lock:
            level = self._level if self._asking else log.get_level()
            skips = log.get_skip_repeated()
            log.set_skip_repeated(False)  # PyAV has just captured the same messages
            for message, _ in itertools.groupby(captured):
                if level is not None and message[0] <= level:
                    log.log(*message)
            log.set_skip_repeated(skips)

    def _begin(self, log: Any) -> None:
        self._level = log.get_level()
        if self._level is None:
            self._dropped = log.Capture(local=False)
            self._dropped.__enter__()
        if self._level is None or self._level < log.ERROR:
            log.set_level(log.ERROR)
        # An error that was the last one of another film is an error of this one, too.
        self._skips = log.get_skip_repeated()
        log.set_skip_repeated(False)

    def _end(self, log: Any) -> None:
        if self._dropped is not None:
            self._dropped.__exit__(None, None, None)
            self._dropped = None
        log.set_skip_repeated(self._skips)
        # Another level was set meanwhile by the program.
        if log.get_level() == log.ERROR:
            log.set_level(self._level)


_SHARED = _SharedLog()
