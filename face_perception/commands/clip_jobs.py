"""Analyses many clips in several processes."""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from face_perception.commands.clip_analysis import ClipAnalyser
from face_perception.commands.clip_progress import ClipProgress
from face_perception.commands.clip_task import ClipTask
from face_perception.errors import FacePerceptionError, error_text
from face_perception.exit_codes import exit_reason

_SEND_EVERY = 0.3  # seconds between two reports of progress


def analyse_clips(
    args: argparse.Namespace, tasks: Sequence[ClipTask], progress: ClipProgress
) -> dict[str, str]:
    """Analyses clips in ``args.jobs`` processes, and returns why some of them failed, by input.

    ``progress`` prints the summary of each clip when it is done. A wrong file, or a process that is
    killed, costs only its own clip. ``args`` are the arguments of ``run``. Raises
    FacePerceptionError if no clip can be analysed, for example because a model is missing.
    """
    waiting: queue.SimpleQueue[ClipTask] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    workers = [_Worker(args, waiting, progress) for _ in range(min(args.jobs, len(tasks)))]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for worker in workers:
            worker.interrupt()
        raise
    for worker in workers:
        if worker.unusable:
            raise FacePerceptionError(worker.unusable)
    return {name: reason for worker in workers for name, reason in worker.failed.items()}


class _Worker:
    """Hands tasks to one process, and starts another one if that is killed."""

    def __init__(
        self,
        args: argparse.Namespace,
        waiting: queue.SimpleQueue[ClipTask],
        progress: ClipProgress,
    ) -> None:
        self._args, self._waiting, self._progress = args, waiting, progress
        self._process: BaseProcess | None = None
        self.failed: dict[str, str] = {}
        self.unusable = ""  # why no clip can be analysed

    def run(self) -> None:
        """Hands over tasks until none is left."""
        connection: Connection | None = None
        while (task := _next(self._waiting)) is not None:
            try:
                if connection is None:
                    connection = self._start()
                    self.unusable = connection.recv()
                    if self.unusable:
                        break
                connection.send(task)
                summary, failure = self._wait(connection, task.input)
            except (EOFError, OSError):
                summary, failure, connection = "", self._end_reason(), None
            if summary:
                self._progress.print(summary)
            if failure:
                self.failed[task.input] = failure
            self._progress.finish(task.input)
        if connection is not None:
            connection.close()  # ends the process

    def interrupt(self) -> None:
        """Makes the process stop at the next frame; it completes the files of that clip."""
        if self._process is not None and self._process.pid and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGINT)

    def _wait(self, connection: Connection, name: str) -> tuple[str, str]:
        """Returns the answer of ``_analyse``. The process sends shares of the clip before."""
        while isinstance(answer := connection.recv(), float):
            self._progress.update(name, answer)
        summary, failure = answer
        return summary, failure

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._args))
        self._process.start()
        theirs.close()  # so that ``recv`` notices the end of the process
        return ours

    def _end_reason(self) -> str:
        assert self._process is not None
        self._process.join()
        ended = exit_reason(self._process.exitcode or 0)
        return f"its process ended ({ended}); if that was SIGKILL, memory ran out: use fewer --jobs"


def _next(waiting: queue.SimpleQueue[ClipTask]) -> ClipTask | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None


def _serve(connection: Connection, args: argparse.Namespace) -> None:
    """Analyses the clips that ``connection`` names, until it is closed."""
    os.setsid()  # Ctrl-C in the terminal reaches only the parent, which forwards it once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    analyser = ClipAnalyser(args)
    try:
        analyser.load()
    except (OSError, FacePerceptionError, ModuleNotFoundError) as error:
        connection.send(error_text(error))
        return
    connection.send("")
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            connection.send(_analyse(analyser, connection.recv(), connection))


def _analyse(analyser: ClipAnalyser, task: ClipTask, connection: Connection) -> tuple[str, str]:
    """Returns the summary of one clip, and why it failed, or an empty text.

    Sends the share of the clip that is analysed. If the parent has ended, that fails, and ends the
    analysis.
    """
    summary, failure = "", ""
    last_sent = -math.inf

    def send(share: float) -> None:
        nonlocal last_sent
        if time.monotonic() - last_sent >= _SEND_EVERY:
            last_sent = time.monotonic()
            connection.send(share)

    def keep(text: str) -> None:
        nonlocal summary
        summary = text

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        analyser.analyse(task, keep, send)
    except (OSError, FacePerceptionError) as error:
        failure = error_text(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    except Exception:
        traceback.print_exc()
        failure = "a fault of this package: please report the traceback above"
    finally:
        signal.signal(signal.SIGINT, handler)
    return summary, failure
