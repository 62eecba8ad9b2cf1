"""Starts node processes: most by node_fork_server.py, which saves the time of their imports."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SERVER = Path(__file__).with_name("node_fork_server.py")
# Variables that our code and ROS read after the imports. Processes that differ in another one have
# not the same server.
READ_LATE = {
    "FACE_PERCEPTION_MODELS",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "HOME",
    "PYTEST_CURRENT_TEST",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_DOMAIN_ID",
    "ROS_LOCALHOST_ONLY",
    "ROS_LOG_DIR",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
}


class ForkedProcess:
    """A process of the server, with the methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self.pid = pid

    @property
    def returncode(self) -> int | None:
        return self._server.codes.get(self.pid)

    def poll(self) -> int | None:
        self._server.read(self.pid, 0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._server.read(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("face_perception.nodes", timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """A running server, and the exit codes that it has sent, by process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.codes: dict[int, int] = {}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, SERVER, str(theirs.fileno())],
                env=dict(environment),
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def start(
        self, arguments: list[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> ForkedProcess:
        request = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder),
            "log": str(log),
            "nice": os.nice(0),
        }
        self._socket.send(json.dumps(request).encode())
        while (pid := self._receive()) is None:
            pass
        self.codes.pop(pid, None)  # of an older process with this number
        return ForkedProcess(self, pid)

    def read(self, pid: int, timeout: float | None) -> None:
        """Reads what the server has sent, until ``pid`` ended or ``timeout`` seconds are over."""
        end = None if timeout is None else time.monotonic() + timeout
        while pid not in self.codes:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                return
            self._receive()

    def _receive(self) -> int | None:
        """Reads one message. Returns the process that was started, if it names one."""
        data = self._socket.recv(1 << 16)
        if not data:
            raise RuntimeError(f"{SERVER.name} has ended, exit code {self._popen.wait()}")
        message: dict[str, int] = json.loads(data)
        if "code" in message:
            self.codes[message["pid"]] = message["code"]
            return None
        return message["pid"]

    def close(self) -> None:
        self._socket.close()
        self._popen.wait()


def read_early(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Returns the variables that are read while a process starts and imports, with their values."""
    return frozenset(item for item in environment.items() if item[0] not in READ_LATE)


_servers: dict[frozenset[tuple[str, str]], ForkServer | None] = {}  # None: used once


def start_nodes(
    arguments: list[str], environment: Mapping[str, str], folder: Path, log: Path
) -> ForkedProcess | subprocess.Popen[bytes]:
    """Starts `python -m face_perception.nodes` with ``arguments`` in ``folder``; appends to a log.

    The first process with an environment starts from the beginning, the later ones are forked.
    """
    early = read_early(environment)
    if early not in _servers:
        _servers[early] = None
        return start_from_beginning(arguments, environment, folder, log)
    server = _servers[early] or ForkServer(environment)
    _servers[early] = server
    return server.start(arguments, environment, folder, log)


def start_from_beginning(
    arguments: list[str], environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "face_perception.nodes", *arguments],
            stdout=stream,
            stderr=stream,
            env=dict(environment),
            cwd=folder,  # not the source tree, from which Python would import the package
        )
