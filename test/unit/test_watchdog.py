"""Tests that stuck processes end, or that their parent ends them. Uses processes, but no ROS."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waits import scaled

from face_perception.bringup.watched_process import WatchedProcess
from face_perception.exit_codes import EXIT_STUCK, EXIT_USAGE
from face_perception.heartbeat import HeartbeatReader
from face_perception.ros import waiting_times, watchdog
from face_perception.ros.watchdog import PortCheck, removed_ports, shared_memory_state

# The process that ros2 launch starts in place of a node.
LAUNCH_WATCHDOG = [sys.executable, "-m", "face_perception.bringup.launch_watchdog"]

START = """
import os, signal, sys, threading, time, ctypes
from face_perception.ros import waiting_times
from face_perception.ros.watchdog import Activity, StopEvent, Watchdog
told_to_end = threading.Event()
dog = Watchdog(lambda: not told_to_end.is_set(), lambda text: print(text, file=sys.stderr))
steps = Activity("the worker", waiting_times.STUCK)
dog.add(steps)
dog.start()
factor = float(os.environ["FACE_PERCEPTION_DELAY_FACTOR"])
"""


def environment() -> dict[str, str]:
    """Returns an environment with short waiting times, longer ones where tests run in parallel.

    A hundredth makes STUCK 0.3 s, STUCK_IN_SETUP 1.2 s, ENDING 0.08 s.
    """
    return {**os.environ, "FACE_PERCEPTION_DELAY_FACTOR": str(scaled(0.01))}


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("steps.begin(); time.sleep(60)", EXIT_STUCK, "the worker has been stuck for"),
        # A thread that opens a named pipe into which no process writes.
        (
            "os.mkfifo(sys.argv[1]); stop = StopEvent(steps); stop.is_set(); open(sys.argv[1])",
            EXIT_STUCK,
            "the worker has been stuck for",
        ),
        # A C function that holds Python's lock: no thread of Python runs. A timer in C ends it.
        ("ctypes.PyDLL(None).sleep(60)", 1, "Timeout"),
        ("told_to_end.set(); time.sleep(60)", EXIT_STUCK, "did not end within"),
        # A thread that waits is fine, and so is one that continues.
        (
            "stop = StopEvent(steps); stop.wait(100 * factor); steps.end(); "
            "time.sleep(50 * factor)",
            0,
            "",
        ),
        ("[(steps.begin(), time.sleep(5 * factor)) for _ in range(20)]; steps.end()", 0, ""),
    ],
)
def test_what_is_stuck_ends(program: str, code: int, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START + program + "\ndog.stop()", str(tmp_path / "pipe")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=scaled(30),
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    if code:
        assert 'File "<string>"' in done.stderr, "the stack says where it is stuck"


def test_a_log_that_is_stuck_does_not_keep_it(tmp_path: Path) -> None:
    program = START.replace("print(text, file=sys.stderr)", "time.sleep(60)")
    program = program.replace('Activity("the worker", waiting_times.STUCK)', "Activity('it', 0.3)")
    done = subprocess.run(
        [sys.executable, "-c", program + "steps.begin(); time.sleep(60)"],
        env={**os.environ, "FACE_PERCEPTION_DELAY_FACTOR": "0.1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=scaled(60),
    )
    assert done.returncode == EXIT_STUCK
    assert "[FATAL] it has been stuck for" in done.stderr, "it is said all the same"


BEATS = """
import os, signal, sys, time
from face_perception.heartbeat import HeartbeatSender
sender = HeartbeatSender()
for _ in range(5):
    sender.beat()
    time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("ending", "code", "silent"),
    [
        ("os.kill(os.getpid(), signal.SIGSTOP)", -signal.SIGKILL, True),
        ("time.sleep(60)", -signal.SIGKILL, True),
        ("sender.beat(patience=True); time.sleep(2 * float(sys.argv[1]))", 0, False),
    ],
)
def test_a_process_without_heartbeats_is_killed(
    ending: str, code: int, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = scaled(0.8)
    monkeypatch.setattr(waiting_times, "HEARTBEAT_SILENCE", longest)
    process = WatchedProcess(
        [sys.executable, "-c", BEATS + ending, str(longest)],
        time.monotonic(),
        environment=os.environ,
    )
    end = time.monotonic() + scaled(30)
    while (ended := process.poll(time.monotonic())) is None and time.monotonic() < end:
        time.sleep(0.02)
    process.close()
    assert ended == code
    assert (process.silence > longest) is silent


def test_a_parent_that_stood_still_itself_does_not_blame_the_process() -> None:
    reader = HeartbeatReader(now=0.0)
    assert reader.silence(0.5) == 0.5
    assert reader.silence(100.0) == 1.5, "one step of a second, however long the parent stood still"
    os.write(reader.write_end, b".")
    assert reader.silence(100.1) == 0.0
    reader.process_started()
    reader.close()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (BEATS + "os.kill(os.getpid(), signal.SIGSTOP)", EXIT_STUCK),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 128 + 9),
    ],
)
def test_the_launch_watchdog_ends_with_its_node(command: str, code: int) -> None:
    """ros2 launch starts the launch watchdog, so it sees that a hung node has ended."""
    program = (
        "import sys\n"
        "from face_perception.bringup import launch_watchdog\n"
        "from face_perception.ros import waiting_times\n"
        "waiting_times.HEARTBEAT_SILENCE = 0.5\n"
        "raise SystemExit(launch_watchdog.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sys.executable, "-c", command],
        capture_output=True,
        text=True,
        timeout=scaled(30),
    )
    assert done.returncode == code, done.stderr
    assert ("sent no heartbeat" in done.stderr) is (code == EXIT_STUCK)


def test_the_launch_watchdog_passes_signals_on() -> None:
    command = "import time; print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [*LAUNCH_WATCHDOG, sys.executable, "-c", command], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(scaled(30)) == 128 + signal.SIGTERM
    process.stdout.close()


def test_the_launch_watchdog_does_not_let_a_wrong_start_be_repeated() -> None:
    """launch has no exit code after which it starts a process no more."""
    command = [sys.executable, "-c", f"raise SystemExit({EXIT_USAGE})"]
    assert subprocess.run([*LAUNCH_WATCHDOG, *command], timeout=scaled(30)).returncode == EXIT_USAGE
    process = subprocess.Popen(
        [*LAUNCH_WATCHDOG, "--respawn", *command], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "not started again" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(scaled(30)) == EXIT_USAGE
    process.stderr.close()


def test_no_node_survives_a_killed_launch() -> None:
    node = "import time; print('ready', flush=True); time.sleep(60)"
    launch = (
        "import subprocess, sys\n"
        f"subprocess.run([*{LAUNCH_WATCHDOG}, sys.executable, '-c', {node!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", launch], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    # The end of the file: watchdog and node, which hold the pipe open, have ended.
    assert select.select([process.stdout], [], [], scaled(10))[0]
    assert process.stdout.read() == ""
    process.wait()
    process.stdout.close()


def test_ports_whose_shared_memory_another_process_removed(tmp_path: Path) -> None:
    def process(maps: str, *threads: str) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for number, name in enumerate(threads):
            (folder / "task" / str(number)).mkdir(parents=True)
            (folder / "task" / str(number) / "comm").write_text(f"{name}\n")
        (folder / "maps").write_text(maps)
        return folder

    mine = "7f00-7f01 rw-s 0 00:1b 12 /dev/shm/fastdds_port7411"
    gone = f"{mine} (deleted)\n"
    assert removed_ports(process(gone, "dds.shm.7411", "dds.shm.wdog")) == {7411}
    assert removed_ports(process(f"{mine}\n", "dds.shm.7411")) == set()
    assert removed_ports(process(gone, "dds.shm.7413")) == set(), "a port that others listen to"
    assert removed_ports(process(gone + mine, "dds.shm.7411")) == set(), "made again, and in use"
    assert removed_ports(tmp_path / "none") == set()


def test_ports_are_checked_when_the_shared_memory_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, found, checks = [1], [set[int]()], []

    def look() -> set[int]:
        checks.append(state[0])
        return found[0]

    monkeypatch.setattr(watchdog, "shared_memory_state", lambda: state[0])
    monkeypatch.setattr(watchdog, "removed_ports", look)
    ports = PortCheck()
    assert [ports.gone(now) for now in (0.0, 1.0, 2.0)] == [set()] * 3
    assert len(checks) == 1, "nothing has changed"
    state[0], found[0] = 2, {7411}
    assert [ports.gone(now) for now in (3.0, 4.0)] == [set(), {7411}], "gone in two checks"
    found[0] = set()
    assert [ports.gone(now) for now in (5.0, 6.0)] == [set()] * 2
    assert len(checks) == 4
    ports.gone(60.0)
    assert len(checks) == 5, "now and then in any case"

    before = shared_memory_state(tmp_path)
    os.utime(tmp_path, ns=(0, before - 10**9))
    (tmp_path / "fastdds_port7411").touch()
    assert shared_memory_state(tmp_path) != before - 10**9
    assert shared_memory_state(tmp_path / "missing") == 0
