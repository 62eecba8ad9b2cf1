"""Shows how much of the clips is analysed, and the time that is left, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY = 60.0  # seconds between two lines where stderr is not a terminal
_FIRST_GUESS = 5.0  # seconds of work, before which the time left is not guessed


class ClipProgress:
    """Progress of the analysis of several clips: a bar in a terminal, else a line a minute.

    ``sizes`` are the sizes in bytes of the clips by name: a clip counts as much as its size. Use it
    in a ``with`` block. Its methods may be called from several threads.

    ``shown``: false shows nothing. ``now`` and ``stream`` are for tests.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        *,
        shown: bool = True,
        now: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ) -> None:
        self._sizes = {name: max(size, 1) for name, size in sizes.items()}
        self._done = dict.fromkeys(sizes, 0.0)
        self._finished = 0
        self._shown = shown
        self._now = now
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._printed: set[str] = set()

    def __enter__(self) -> ClipProgress:
        self._start = self._last_line = self._now()
        if self._shown and self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(),
                TextColumn("{task.description}"),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._bar.add_task(self.text(), total=1.0)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, name: str, share: float) -> None:
        """Says that this share of a clip is analysed, 0 to 1."""
        with self._lock:
            self._done[name] = min(max(share, 0.0), 1.0)
            self._show()

    def finish(self, name: str) -> None:
        """Says that a clip is done."""
        with self._lock:
            self._done[name] = 1.0
            self._finished += 1
            self._show()

    def print(self, text: str) -> None:
        """Prints lines of text above the bar, each once: a hint may be the same for all clips."""
        with self._lock:
            lines = [line for line in text.split("\n") if line not in self._printed]
            self._printed.update(lines)
        if lines:
            self._write("\n".join(lines))

    def _write(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            # One call, so that texts of several threads stay whole.
            self._stream.write(text + "\n")

    def text(self) -> str:
        """Returns how many clips are done, and the time that is left at the pace so far."""
        done = self._share()
        parts = [f"{done:.0%}"]
        if len(self._sizes) > 1:
            parts.insert(0, f"{self._finished} of {len(self._sizes)} files")
        passed = self._now() - self._start
        if done > 0 and passed >= _FIRST_GUESS:
            parts.append(f"{_duration(passed * (1 - done) / done)} left")
        return ", ".join(parts)

    def _share(self) -> float:
        whole = sum(self._sizes.values())
        if not whole:  # no clips
            return 1.0
        return sum(self._done[name] * size for name, size in self._sizes.items()) / whole

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._share(), description=self.text())
        elif self._shown and self._now() - self._last_line >= _LINE_EVERY:
            self._last_line = self._now()
            self._write(self.text())


def _duration(seconds: float) -> str:
    """Returns a duration in words, in two units at most.

    >>> _duration(42), _duration(200), _duration(7300)
    ('42 s', '3 min 20 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
