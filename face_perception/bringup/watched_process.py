"""A process of a node whose heartbeats are watched."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from face_perception.heartbeat import HeartbeatReader
from face_perception.ros import waiting_times

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Makes the system send SIGTERM to this process when its parent ends (Linux only)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class WatchedProcess:
    """Starts a process, and kills it if it sends no heartbeats. Call ``poll`` several times a
    second, ``now`` being monotonic seconds.

    ``silence`` says for how long it had been silent when it was killed; 0 if it was not.
    """

    def __init__(
        self,
        command: Sequence[str],
        now: float,
        *,
        environment: Mapping[str, str],
        output: IO[bytes] | None = None,
    ) -> None:
        self.silence = 0.0
        self._heartbeat = HeartbeatReader(now)
        self.popen = subprocess.Popen(
            command,
            env={**environment, **self._heartbeat.environment},
            pass_fds=(self._heartbeat.write_end,),
            # A new session: Ctrl-C in the terminal reaches only this process, which stops the
            # nodes.
            start_new_session=True,
            preexec_fn=end_with_parent,  # so that no node survives a killed parent
            stdout=output,
            stderr=output,
        )
        self._heartbeat.process_started()

    def poll(self, now: float) -> int | None:
        """Returns the exit code of the process, or None while it runs."""
        code = self.popen.poll()
        if code is None:
            silence = self._heartbeat.silence(now)
            if silence > (
                waiting_times.PATIENT_SILENCE
                if self._heartbeat.asked_for_patience
                else waiting_times.HEARTBEAT_SILENCE
            ):
                self.silence = silence
                self.popen.kill()  # a stopped process does not act on SIGTERM
                code = self.popen.wait()
        return code

    def close(self) -> None:
        """Frees what watched the process. Call it once, after its end."""
        self._heartbeat.close()
