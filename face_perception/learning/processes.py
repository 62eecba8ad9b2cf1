"""Makes calls in other processes: one that is killed costs only its own call.

``ProcessPoolExecutor`` gives up all calls if one process is killed, ``multiprocessing.Pool`` waits
for it forever, and both go on after Ctrl-C.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from face_perception.errors import FacePerceptionError
from face_perception.exit_codes import exit_reason
from face_perception.learning.machine_share import MachineShare, processors, take_share

_Result = TypeVar("_Result")

ATTEMPTS = 3  # of a call whose process is killed
_END_WITHIN = 5.0  # seconds after SIGTERM, before SIGKILL


class ProcessesKilled(FacePerceptionError):
    """The processes of some calls were killed; ``calls`` are their numbers, and how they ended."""

    def __init__(self, calls: Mapping[int, str]) -> None:
        how = ", ".join(sorted(set(calls.values())))
        super().__init__(
            f"a process was killed {ATTEMPTS} times ({how}), perhaps because the memory is full: "
            "close other programs, and repeat the command"
        )
        self.calls = calls


class _OtherTraceback(Exception):
    """Shows the traceback of another process above that of this one."""

    def __init__(self, text: str) -> None:
        super().__init__(f"\n{text}")


@dataclass(frozen=True)
class _Answer:
    """The ``result`` of a call, or the ``error`` that it raised, with its ``traceback``."""

    result: Any = None
    error: Exception | None = None
    traceback: str = ""


def finished_calls(
    function: Callable[..., _Result],
    calls: Sequence[tuple[Any, ...]],
    workers: int,
    *,
    start: Callable[[], object] | None = None,
    fresh: bool = False,
) -> Generator[tuple[int, _Result], None, None]:
    """Calls ``function`` with each tuple of arguments; yields (number of the call, its result).

    Results come as they are finished. Up to ``workers`` spawned processes share the processors of
    this one (``machine_share``). Each runs ``start`` first; with ``fresh``, each makes one call.
    A call whose process is killed is repeated when all others are finished, with nothing beside
    it, ``ATTEMPTS`` times in all.

    The processes ignore Ctrl-C, and end with this one. Closing the generator ends them: use
    ``contextlib.closing``, so that an error in the loop does so at once. ``finally`` and ``with``
    of a call that is ended have 5 seconds.

    Raises what a call raises, and ProcessesKilled at the end if calls are without result.
    """
    count = min(workers, len(calls))
    share = max(processors() // max(count, 1), 1)
    pool = [_Process(function, start, MachineShare(share, number)) for number in range(count)]
    left, suspects = deque(range(len(calls))), deque[int]()
    attempts: Counter[int] = Counter()
    killed: dict[int, str] = {}
    try:
        while left or suspects or any(one.busy for one in pool):
            for one in pool:
                if left and not one.busy:
                    number = left.popleft()
                    one.begin(number, calls[number])
            if suspects and not any(one.busy for one in pool):
                number = suspects.popleft()
                pool[0].begin(number, calls[number])
            for one in _ready(pool):
                number = one.call
                answer = one.answer()
                if answer is None:
                    attempts[number] += 1
                    ended = one.end()
                    if attempts[number] < ATTEMPTS:
                        suspects.append(number)
                    else:
                        killed[number] = ended
                    continue
                if fresh:
                    one.end()
                if answer.error is not None:
                    raise answer.error from _OtherTraceback(answer.traceback)
                yield number, answer.result
    finally:
        for one in pool:
            one.terminate()
        for one in pool:
            one.end()
    if killed:
        raise ProcessesKilled(killed)


def results_in_order(
    function: Callable[..., _Result],
    calls: Sequence[tuple[Any, ...]],
    workers: int,
    *,
    fresh: bool = False,
) -> Generator[_Result, None, None]:
    """Yields the results of ``finished_calls`` in the order of ``calls``; raises what it raises.

    With one worker and without ``fresh``, the calls are made in this process.
    """
    if min(workers, len(calls)) <= 1 and not fresh:
        yield from (function(*arguments) for arguments in calls)
        return
    early: dict[int, _Result] = {}
    following = 0
    with closing(finished_calls(function, calls, workers, fresh=fresh)) as results:
        for number, result in results:
            early[number] = result
            while following in early:
                yield early.pop(following)
                following += 1


class _Process:
    """A process that makes one call at a time. It is started for a call, and again if it ended."""

    def __init__(
        self,
        function: Callable[..., Any],
        start: Callable[[], object] | None,
        share: MachineShare,
    ) -> None:
        self._function, self._start, self._share = function, start, share
        self._process: BaseProcess | None = None
        self.connection: Connection | None = None
        self.call = -1  # the number of the call that it makes

    @property
    def busy(self) -> bool:
        return self.call >= 0

    def begin(self, number: int, arguments: tuple[Any, ...]) -> None:
        """Hands over a call. If the process was killed, ``answer`` says so."""
        self.call = number
        if self.connection is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            # Spawned, because the threads of torch, ONNX Runtime and OpenCV do not survive a fork.
            self._process = context.Process(target=_serve, args=(theirs, self._share))
            self._process.start()
            theirs.close()  # so that ``recv`` notices the end of the process
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send((self._start, self._function, arguments))

    def answer(self) -> _Answer | None:
        """Returns what came of the call; None if the process was killed."""
        assert self.connection is not None
        try:
            sent = self.connection.recv_bytes()
        except (EOFError, OSError):
            return None
        self.call = -1
        answer: _Answer = pickle.loads(sent)
        return answer

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self) -> str:
        """Ends the process, and returns how it ended."""
        self.call = -1
        if self._process is None or self.connection is None:
            return ""
        self.connection.close()  # ends it, if it waits for a call
        self._process.join(_END_WITHIN)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        ended = exit_reason(self._process.exitcode or 0)
        self._process, self.connection = None, None
        return ended


def _ready(pool: Sequence[_Process]) -> list[_Process]:
    """Waits for processes that have a result or were killed, and returns them."""
    ready = wait([one.connection for one in pool if one.busy and one.connection is not None])
    return [one for one in pool if one.connection in ready]


def _serve(connection: Connection, share: MachineShare) -> None:
    """Makes the calls that come through ``connection``, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    take_share(share)
    started = False
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request = connection.recv_bytes()
            connection.send_bytes(_answer(request, started))
            started = True


def _answer(request: bytes, started: bool) -> bytes:
    """Makes a call, and returns an ``_Answer``, pickled."""
    try:
        start, function, arguments = pickle.loads(request)
        if start is not None and not started:
            start()
        return pickle.dumps(_Answer(function(*arguments)))
    except Exception as error:
        text = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an error that cannot be sent
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return pickle.dumps(_Answer(error=error, traceback=text))


def _exit(*_: object) -> None:
    """Ends the process, and lets calls remove what they have half written."""
    sys.exit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_END_WITHIN)
        os._exit(1)
