"""Starts the processes of the graph without `ros2 launch`; restarts those that exit or hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from face_perception.bringup import dds_profile
from face_perception.bringup.graph import (
    GraphOptions,
    ProcessSpec,
    left_out,
    merged_environment,
    node_processes,
)
from face_perception.bringup.second_start import refuse_second_start
from face_perception.bringup.shared_memory import remove_orphans
from face_perception.bringup.watched_process import WatchedProcess
from face_perception.exit_codes import EXIT_USAGE, exit_reason

_FIRST_DELAY = 0.2  # seconds before the first restart; doubles with each further one
_LONGEST_DELAY = 10.0
_STABLE = 5.0  # seconds of running after which the delay is reset
_KILL_DELAY = 4.0  # seconds between SIGTERM and SIGKILL


def stop_requested_by_signals() -> Callable[[], bool]:
    """Installs handlers, and returns a function that tells if Ctrl-C or SIGTERM has arrived.

    The handlers take no lock. One that calls `threading.Event.set` blocks forever if it interrupts
    `Event.wait` while that holds the lock of the event.
    """
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: received.append(number))
    return lambda: bool(received)


@dataclass
class _Child:
    spec: ProcessSpec
    running: WatchedProcess | None = None
    started: float = 0.0
    due: float = 0.0
    delay: float = _FIRST_DELAY
    restarts: int = 0
    given_up: bool = False  # its arguments are wrong


class Supervisor:
    """Runs processes until ``stop``. Call ``poll`` several times a second.

    A process that exits is started again, unless it says that its arguments are wrong
    (``EXIT_USAGE``) or ``respawn`` is false. A process without heartbeats is killed first. Their
    output goes to stderr, or to the file ``log``, which is overwritten.
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
        remove_orphans()
        if too_small := dds_profile.advice():
            self._log_line(too_small)
        for child in self._children:
            self._start(child)

    @property
    def restarts(self) -> dict[str, int]:
        """Number of restarts of each process that was restarted, by name."""
        return {c.spec.name: c.restarts for c in self._children if c.restarts}

    @property
    def given_up(self) -> list[str]:
        """Names of the processes that cannot start with their arguments."""
        return [c.spec.name for c in self._children if c.given_up]

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running processes, by name."""
        return {
            c.spec.name: c.running.popen.pid
            for c in self._children
            if c.running is not None and c.running.popen.poll() is None
        }

    def poll(self) -> bool:
        """Restarts processes that have exited. Returns False if none runs or will be restarted."""
        now = time.monotonic()
        for child in self._children:
            if child.running is not None and (code := child.running.poll(now)) is not None:
                self._plan_restart(child, code, now)
            if child.running is None and self._will_restart(child) and now >= child.due:
                child.restarts += 1
                self._start(child)
        return any(c.running is not None or self._will_restart(c) for c in self._children)

    def _plan_restart(self, child: _Child, code: int, now: float) -> None:
        """Logs why a process ended, and sets when it is started again, if ever."""
        assert child.running is not None
        silence = child.running.silence
        child.running.close()
        child.running = None
        if code != 0:
            remove_orphans()
        name, reason = child.spec.name, exit_reason(code)
        if silence:
            reason = (
                f"no heartbeat for {silence:.0f} s, because it was stopped or hangs, so it was "
                "killed"
            )
        if not self._respawn:
            self._log_line(f"{name} has exited ({reason})")
            return
        if code == EXIT_USAGE:
            child.given_up = True
            self._log_line(f"{name} cannot start with these arguments, so it is not started again")
            return
        child.delay = (
            _FIRST_DELAY if now - child.started > _STABLE else min(_LONGEST_DELAY, child.delay * 2)
        )
        child.due = now + child.delay
        self._log_line(f"{name} has exited ({reason}): restarting it in {child.delay:.1f} s")

    def _will_restart(self, child: _Child) -> bool:
        return self._respawn and not child.given_up

    def stop(self) -> None:
        """Ends all processes with SIGTERM, and with SIGKILL if they still run later."""
        # Do not send SIGINT, because Python prints a traceback for it while it starts.
        running = [(c.spec.name, c.running) for c in self._children if c.running is not None]
        for _, process in running:
            process.popen.terminate()
        deadline = time.monotonic() + _KILL_DELAY
        for name, process in running:
            try:
                process.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log_line(f"{name} did not exit within {_KILL_DELAY:.0f} s, so it was killed")
                process.popen.kill()
                process.popen.wait()
            process.close()
        if self._log is not None:
            self._log.close()

    def _log_line(self, text: str) -> None:
        stream = self._log if self._log is not None else sys.stderr.buffer
        stream.write(f"[up] {text}\n".encode())
        stream.flush()

    def _start(self, child: _Child) -> None:
        child.started = time.monotonic()
        child.running = WatchedProcess(
            [sys.executable, "-m", "face_perception.nodes", *child.spec.arguments()],
            child.started,
            environment=merged_environment(os.environ, sends_images=child.spec.sends_images),
            output=self._log,
        )


def run_graph(options: GraphOptions, *, respawn: bool = True, duration: float = 0.0) -> int:
    """Runs the graph for ``duration`` seconds, or until Ctrl-C if that is 0.

    Returns the exit code.
    """
    stop_requested = stop_requested_by_signals()
    check_start(options, stop_requested)
    say_left_out(options)
    if stop_requested():
        return 0
    supervisor = Supervisor(node_processes(options), respawn=respawn)
    begin = time.monotonic()
    try:
        while not stop_requested() and supervisor.poll():
            if duration and time.monotonic() - begin >= duration:
                break
            time.sleep(0.1)
    finally:
        supervisor.stop()
    return 1 if supervisor.given_up else 0


def check_start(options: GraphOptions, stopped: Callable[[], bool] = lambda: False) -> None:
    """Shows warnings about the options. Raises InputError if the graph already runs.

    Does not wait for the end of a running graph once ``stopped()`` is true.
    """
    for warning in options.warnings:
        say(warning)
    if between_users := dds_profile.advice_on_users():
        say(between_users)
    refuse_second_start(options.full_names, say, stopped)


def say_left_out(options: GraphOptions) -> None:
    """Shows which nodes do not start because their package is missing."""
    for sentence in left_out(options):
        say(sentence)


def say(text: str) -> None:
    """Shows a sentence about the start of the graph."""
    print(f"[up] {text}", file=sys.stderr, flush=True)
