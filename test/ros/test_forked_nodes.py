"""Nodes that the fork server of the tests starts behave as processes that start by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forked_nodes import ForkedProcess
from node_processes import NodeProcess

from face_perception.exit_codes import EXIT_USAGE

Start = Callable[..., NodeProcess]


@pytest.fixture(autouse=True)
def forked(start: Start) -> None:
    """The first process with an environment is not forked, and all later ones are."""
    start("attention").interrupt()


def test_exit_codes_and_signals(start: Start) -> None:
    nodes = [start("attention") for _ in range(3)]
    assert all(isinstance(node.popen, ForkedProcess) for node in nodes)
    wrong = start("attention", remaps=("faces:=a//b",))
    for node in nodes:
        node.wait_for_log("active")
        assert node.popen.poll() is None
        assert os.getsid(node.popen.pid) == os.getsid(0)
    with pytest.raises(subprocess.TimeoutExpired):
        nodes[0].popen.wait(0.01)
    nodes[0].popen.kill()
    nodes[1].popen.send_signal(signal.SIGTERM)
    assert nodes[2].interrupt() == 0
    assert [node.popen.wait() for node in nodes[:2]] == [-signal.SIGKILL, 0]
    assert wrong.popen.wait() == EXIT_USAGE
    assert "attention cannot start" in wrong.log


def test_the_server_has_no_threads_but_those_of_rclpy(start: Start) -> None:
    """A thread that runs in the server would be missing in the processes that it forks."""
    node = start("attention")
    stat = Path(f"/proc/{node.popen.pid}/stat").read_text()
    server = stat.rpartition(")")[2].split()[1]
    count = "import os, rclpy; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", count], capture_output=True, text=True, check=True)
    assert len(os.listdir(f"/proc/{server}/task")) == int(done.stdout)


def test_what_is_read_while_a_process_starts_counts(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.123")
    assert isinstance(start("attention").popen, subprocess.Popen)
    second = start("attention")
    assert isinstance(second.popen, ForkedProcess)
    second.wait_for_log("active")
