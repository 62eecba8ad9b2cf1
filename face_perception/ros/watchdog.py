"""Ends the process of a node that is stuck, so that `up` or launch starts it again.

What it sees: a callback of the executor, an item of a worker, or a step of a thread that lasts too
long; a C function that never releases Python's lock; an end that does not come after SIGTERM; the
shared memory of this process's own DDS port removed by another process, after which it hears
nothing. What it cannot see: a process that is stopped (SIGSTOP) or that the kernel holds in an
uninterruptible call. The parent sees the former by its missing heartbeats.
"""

from __future__ import annotations

import faulthandler
import math
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from face_perception.exit_codes import EXIT_STUCK
from face_perception.heartbeat import HeartbeatSender
from face_perception.ros import waiting_times

_PERIOD = 1.0  # seconds between two checks
# Seconds after which the ports are checked although no file of the shared memory has come or gone.
_PORTS_PERIOD = 30.0
_REPORT_TIME = 2.0  # seconds that the report may take: what it is written to may be stuck as well
_PORT = re.compile(r"/dev/shm/fast(?:dds|rtps)_port(\d+)( \(deleted\))?$", re.MULTILINE)


class Activity:
    """Something that takes steps: the executor, a worker, a thread.

    ``limit`` is the longest time in seconds that a step may take.
    """

    def __init__(self, name: str, limit: float) -> None:
        self.name = name
        self.limit = limit
        self._since: float | None = None

    def begin(self) -> None:
        """Notes that a step begins; the one before has ended."""
        self._since = time.monotonic()

    def end(self) -> None:
        """Notes that there is nothing to do now."""
        self._since = None

    def stuck_for(self, now: float) -> float:
        """Returns for how long the step has lasted if that is more than the limit, else 0."""
        since = self._since
        lasted = 0.0 if since is None else now - since
        return lasted if lasted > self.limit else 0.0


class StopEvent(threading.Event):
    """The event that ends a thread. A thread that asks for it takes a step of ``activity``."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self._activity = activity

    def is_set(self) -> bool:
        self._activity.begin()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._activity.end()
        try:
            return super().wait(timeout)
        finally:
            self._activity.begin()


class PortCheck:
    """Finds ports of Fast DDS whose shared memory another process removed.

    Looking takes 5 ms of CPU time in a process of several nodes, so it looks only if a file of the
    shared memory has come or gone, and now and then in any case.
    """

    def __init__(self) -> None:
        self._checked = -math.inf  # monotonic, seconds
        self._state = -1  # of the shared memory at that time
        self._found: set[int] = set()

    def gone(self, now: float) -> set[int]:
        """Returns the ports that are gone in this check and were in the one before."""
        state = shared_memory_state()
        since = now - self._checked
        if state == self._state and not self._found and since < _PORTS_PERIOD:
            return set()
        self._checked, self._state = now, state
        before, self._found = self._found, removed_ports()
        return self._found & before


class Watchdog:
    """A thread that sends heartbeats to the parent, and ends the process if it is stuck.

    ``running()`` returns false once the process has been told to end. ``report(reason)`` writes the
    reason to the log.
    """

    def __init__(self, running: Callable[[], bool], report: Callable[[str], None]) -> None:
        self._running = running
        self._report = report
        self._activities: list[Activity] = []
        self._lock = threading.Lock()
        self._heartbeat = HeartbeatSender()
        self._told_to_end: float | None = None
        self._ports = PortCheck()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """Sends a heartbeat now, because a long step begins or ends."""
        self._heartbeat.beat(patience=self._patience())

    def _patience(self) -> bool:
        return any(activity.limit > waiting_times.STUCK for activity in self._activities)

    def stop(self) -> None:
        """Stops the thread: the process has no more to do than to end."""
        self._stopped.set()
        self._thread.join(_PERIOD + _REPORT_TIME)
        faulthandler.cancel_dump_traceback_later()

    def add(self, activity: Activity) -> None:
        with self._lock:
            self._activities.append(activity)

    def remove(self, activity: Activity) -> None:
        with self._lock:
            self._activities.remove(activity)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.beat()
            # A timer in C: it ends the process, with the stacks of all threads, if this thread does
            # not run in time because a C function holds Python's lock. The limit is the longest,
            # because loading a large network may hold the lock for long.
            faulthandler.dump_traceback_later(waiting_times.STUCK_IN_SETUP, exit=True, file=2)
            now = time.monotonic()
            if reason := self._stuck(now):
                self.end_process(reason, stacks=True)
            if ports := self._ports.gone(now):
                self.end_process(
                    f"another process removed /dev/shm/fastdds_port{min(ports)}, through which "
                    "this one receives its messages: it hears nothing any more"
                )
            self._stopped.wait(min(_PERIOD, waiting_times.STUCK / 4))

    def _stuck(self, now: float) -> str:
        """Returns what is stuck, or ""."""
        if not self._running():
            self._told_to_end = self._told_to_end or now
            waited = now - self._told_to_end
            return (
                f"did not end within {waited:.0f} s after it was told to"
                if waited > waiting_times.ENDING
                else ""
            )
        with self._lock:
            for activity in self._activities:
                lasted = activity.stuck_for(now)
                if lasted:
                    return f"{activity.name} has been stuck for {lasted:.0f} s"
        return ""

    def end_process(self, reason: str, *, stacks: bool = False) -> None:
        """Logs ``reason``, and the stacks of all threads if wanted, and ends the process."""

        text = f"{reason}. Ending this process."
        reported = threading.Event()

        def report() -> None:
            self._report(text)
            reported.set()

        def write() -> None:
            if not reported.is_set():
                os.write(2, f"[FATAL] {text}\n".encode())
            if stacks:
                faulthandler.dump_traceback(all_threads=True, file=2)

        # On threads, because the log, or whoever reads it, may be what is stuck.
        for work in (report, write):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            thread.join(_REPORT_TIME)
        os._exit(EXIT_STUCK)


def shared_memory_state(folder: Path = Path("/dev/shm")) -> int:
    """Returns a number that changes when a file of the shared memory comes or goes; 0: unknown."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def removed_ports(process: Path = Path("/proc/self")) -> set[int]:
    """Returns the ports of Fast DDS that a process listens to and whose shared memory is gone.

    A port of which the process still maps an existing file does not count. Empty where there is no
    /proc, or no Fast DDS.
    """
    try:
        mapped = _PORT.findall((process / "maps").read_text())
        names = [(task / "comm").read_text() for task in (process / "task").iterdir()]
    except OSError:
        return set()
    listening = {int(n[8:]) for n in names if n.startswith("dds.shm.") and n[8:].strip().isdigit()}
    gone = {int(port) for port, deleted in mapped if deleted}
    there = {int(port) for port, deleted in mapped if not deleted}
    return (gone - there) & listening
