"""Heartbeats of a process to its parent, through a pipe.

The parent makes a ``HeartbeatReader`` and starts the process with its environment variable and file
descriptor. The process sends a byte a second. A process that was stopped (SIGSTOP), or whose
threads do not run, sends nothing, and the parent can replace it.
"""

from __future__ import annotations

import contextlib
import os

# Environment variable with the number of the file descriptor to write to.
VARIABLE = "FACE_PERCEPTION_HEARTBEAT_FD"
_PATIENCE = b"p"
# Longest time that a reader counts between two calls of ``silence``. If the parent itself did not
# run (Ctrl-Z, a frozen container), its children had no chance to be heard either.
_LONGEST_STEP = 1.0


class HeartbeatSender:
    """Sends heartbeats, if the parent asked for them."""

    def __init__(self) -> None:
        number = os.environ.get(VARIABLE, "")
        self._file = int(number) if number.isdigit() else -1
        if self._file >= 0:
            try:
                os.set_blocking(self._file, False)
                os.set_inheritable(self._file, False)
            except OSError:  # not a descriptor of this process
                self._file = -1

    def beat(self, *, patience: bool = False) -> None:
        """Sends a heartbeat, and asks for ``patience`` until the next. Never blocks or fails."""
        if self._file >= 0:
            with contextlib.suppress(OSError):  # the pipe is full, or the parent has ended
                os.write(self._file, _PATIENCE if patience else b".")


class HeartbeatReader:
    """The parent's end of the pipe. Close it when the process has ended."""

    def __init__(self, now: float) -> None:
        self._reads, self.write_end = os.pipe()
        os.set_blocking(self._reads, False)
        self._asked = now
        self._silence = 0.0
        # True until the first heartbeat: a process first imports its modules.
        self.asked_for_patience = True

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable for the process; also pass it ``write_end``."""
        return {VARIABLE: str(self.write_end)}

    def process_started(self) -> None:
        """Closes this process's copy of the write end. Call it after the start."""
        os.close(self.write_end)

    def silence(self, now: float) -> float:
        """Returns for how many seconds no heartbeat has come; ``now`` is monotonic.

        Only counts time in which the caller was running. Call it several times a second.
        """
        self._silence += min(now - self._asked, _LONGEST_STEP)
        self._asked = now
        with contextlib.suppress(BlockingIOError):
            while beats := os.read(self._reads, 4096):
                self.asked_for_patience = beats.endswith(_PATIENCE)
                self._silence = 0.0
        return self._silence

    def close(self) -> None:
        os.close(self._reads)
