"""Starts the processes of the graph without `ros2 launch`, and restarts those that exit."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from face_perception.bringup.graph import (
    GraphOptions,
    ProcessSpec,
    merged_environment,
    node_processes,
)
from face_perception.bringup.shared_memory import remove_orphans

_FIRST_DELAY = 0.2  # seconds before the first restart; doubles with each further one
_LONGEST_DELAY = 10.0
_STABLE = 5.0  # seconds of running after which the delay is reset
_KILL_DELAY = 4.0  # seconds between SIGTERM and SIGKILL

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Makes the system send SIGTERM to this process when its parent ends (Linux only)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def stop_event_on_signals() -> threading.Event:
    """Installs signal handlers, and returns an event that Ctrl-C and SIGTERM set."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


@dataclass
class _Child:
    process: ProcessSpec
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    delay: float = _FIRST_DELAY
    restarts: int = 0


class Supervisor:
    """Runs processes until ``stop``. Call ``poll`` several times a second.

    Their output goes to stderr, or to the file ``log``, which is overwritten.
    """

    def __init__(
        self,
        processes: list[ProcessSpec],
        *,
        respawn: bool = True,
        log: Path | None = None,
    ) -> None:
        # The child processes write to this file, or to the stderr of this process.
        self._log = log.open("wb") if log is not None else None
        self._children = [_Child(process) for process in processes]
        self._respawn = respawn
        self._environment = merged_environment(os.environ)
        remove_orphans()
        for child in self._children:
            self._start(child)

    @property
    def restarts(self) -> dict[str, int]:
        """Number of restarts of each process that was restarted, by name."""
        return {c.process.name: c.restarts for c in self._children if c.restarts}

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running processes, by name."""
        return {
            c.process.name: c.popen.pid
            for c in self._children
            if c.popen is not None and c.popen.poll() is None
        }

    def poll(self) -> bool:
        """Restarts processes that have exited. Returns False if none runs or will be restarted."""
        now = time.monotonic()
        for child in self._children:
            if child.popen is not None and (code := child.popen.poll()) is not None:
                child.popen = None
                if code < 0:
                    remove_orphans()
                if not self._respawn:
                    self._log_line(f"{child.process.name} has exited ({_exit_reason(code)})")
                    continue
                child.delay = (
                    _FIRST_DELAY
                    if now - child.started > _STABLE
                    else min(_LONGEST_DELAY, child.delay * 2)
                )
                child.due = now + child.delay
                self._log_line(
                    f"{child.process.name} has exited ({_exit_reason(code)}): restarting it in "
                    f"{child.delay:.1f} s"
                )
            if child.popen is None and self._respawn and now >= child.due:
                child.restarts += 1
                self._start(child)
        return self._respawn or any(c.popen is not None for c in self._children)

    def stop(self) -> None:
        """Ends all processes with SIGTERM, and with SIGKILL if they still run later."""
        # Do not send SIGINT, because Python prints a traceback for it while it starts.
        running = [c for c in self._children if c.popen is not None and c.popen.poll() is None]
        for child in running:
            assert child.popen is not None
            child.popen.terminate()
        deadline = time.monotonic() + _KILL_DELAY
        for child in running:
            assert child.popen is not None
            try:
                child.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log_line(
                    f"{child.process.name} did not exit within {_KILL_DELAY:.0f} s, so it was "
                    "killed"
                )
                child.popen.kill()
                child.popen.wait()

        if self._log is not None:
            self._log.close()

    def _log_line(self, text: str) -> None:
        stream = self._log if self._log is not None else sys.stderr.buffer
        stream.write(f"[up] {text}\n".encode())
        stream.flush()

    def _start(self, child: _Child) -> None:
        child.started = time.monotonic()
        child.popen = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "face_perception.nodes",
                child.process.name,
                *child.process.ros_arguments(),
            ],
            env=self._environment,
            # A new session: Ctrl-C in the terminal reaches only this process, which stops the
            # nodes.
            start_new_session=True,
            preexec_fn=end_with_parent,  # so that no node survives a killed supervisor
            stdout=self._log,
            stderr=self._log,
        )


def run_graph(options: GraphOptions, *, respawn: bool = True, duration: float = 0.0) -> int:
    """Runs the graph for ``duration`` seconds, or until Ctrl-C if that is 0.

    Returns the exit code.
    """
    ended = stop_event_on_signals()
    supervisor = Supervisor(node_processes(options), respawn=respawn)
    begin = time.monotonic()
    try:
        while not ended.is_set() and supervisor.poll():
            if duration and time.monotonic() - begin >= duration:
                break
            ended.wait(0.1)
    finally:
        supervisor.stop()
    return 0


def _exit_reason(code: int) -> str:
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
