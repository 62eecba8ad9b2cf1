"""Nodes that are alive but useless end themselves: real processes over real DDS."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_processes import NodeProcess, Peer
from waits import scaled

from face_perception import msg
from face_perception.exit_codes import EXIT_STUCK, EXIT_USAGE

Start = Callable[..., NodeProcess]


def test_a_node_that_hears_nothing_where_others_do_ends(
    start: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.2")
    node = start("attention")
    peer.listen(msg.AttentionArray, "attention")
    faces = peer.publisher(msg.FaceArray, "faces")
    diagnostics = peer.publisher(DiagnosticArray, "/diagnostics")
    received = 0

    def say(more: int, what: str = "received /faces") -> None:
        nonlocal received
        received += more
        status = DiagnosticStatus(name="gaze", hardware_id="face_perception")
        status.values = [KeyValue(key=what, value=str(received))]
        diagnostics.publish(DiagnosticArray(status=[status]))
        peer.spin(0.1)

    peer.until(lambda: faces.get_subscription_count() > 0)
    # Its publisher sends nothing to anybody: DEAF is 2 s, and so is listening.
    node.wait_for_log("it has 1 publisher(s), which send nothing")
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        say(0)
    assert node.popen.poll() is None, node.log
    # Now another node says that it receives what this one does not.
    end = time.monotonic() + scaled(60)
    while node.popen.poll() is None and time.monotonic() < end:
        say(1)
    assert node.popen.poll() == EXIT_STUCK
    assert "hears nothing on /faces, although gaze received" in node.log


def test_a_node_whose_shared_memory_was_removed_ends(start: Start) -> None:
    node = start("attention")
    node.wait_for_log("active")
    task = Path(f"/proc/{node.popen.pid}/task")
    ports = re.findall(
        r"dds\.shm\.(\d+)", "".join((t / "comm").read_text() for t in task.iterdir())
    )
    own = Path(f"/dev/shm/fastdds_port{max(map(int, ports))}")  # the others are shared
    own.unlink()
    assert node.popen.wait(scaled(30)) == EXIT_STUCK
    assert f"another process removed {own}" in node.log


def test_a_node_that_does_not_end_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that never comes back keeps the node from ending after SIGTERM."""
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.2")
    node = start("attention", forked=False)  # only a parent hears of the end of what it traces
    node.wait_for_log("active")
    # Stop its main thread alone, as if it waited for a lock of DDS: attach to it and leave it. It
    # must not hold Python's lock then.
    state = Path(f"/proc/{node.popen.pid}/stat")
    while state.read_text().rpartition(")")[2].split()[0] != "S":
        time.sleep(0.02)
    libc = ctypes.CDLL(None, use_errno=True)
    seize = 0x4206
    if libc.ptrace(seize, node.popen.pid, None, None) != 0:
        pytest.skip("this machine does not allow ptrace")
    try:
        assert libc.ptrace(0x4207, node.popen.pid, None, None) == 0  # interrupt
        os.waitpid(node.popen.pid, 0x40000000)  # __WALL
        os.kill(node.popen.pid, signal.SIGTERM)
        end = time.monotonic() + scaled(30)
        while "Ending this process" not in node.log and time.monotonic() < end:
            time.sleep(0.1)
        assert "Ending this process" in node.log
    finally:
        libc.ptrace(17, node.popen.pid, None, None)  # detach
    assert node.popen.wait(scaled(30)) in (EXIT_STUCK, -signal.SIGKILL, 0)


def test_a_node_that_cannot_start_says_that_trying_again_is_useless(start: Start) -> None:
    node = start("attention", remaps=("faces:=a//b",))
    assert node.popen.wait(scaled(30)) == EXIT_USAGE
    assert "attention cannot start" in node.log
