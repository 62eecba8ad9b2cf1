"""Calls in other processes: killed ones, errors, Ctrl-C, and the end of the process that waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from face_perception.errors import InputError
from face_perception.learning import machine_share, processes

PATIENCE = 60.0  # seconds


def square(number: int) -> int:
    return number * number


def dies(number: int, folder: Path) -> int:
    """Kills its process for 1, and the first time for 2; counts the attempts."""
    with (folder / f"{number}").open("a") as file:
        file.write("x")
    attempts = (folder / f"{number}").stat().st_size
    if number == 1 or (number == 2 and attempts == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuses(error: Exception) -> int:
    raise error


class Awkward(Exception):
    """It cannot be sent to another process."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def is_awkward() -> int:
    raise Awkward(1, 2)


def shares() -> tuple[int, machine_share.MachineShare | None, int]:
    return machine_share.processors(), machine_share.own_share(), os.getpid()


def waits(folder: Path) -> None:
    file = folder / str(os.getpid())
    file.touch()
    try:
        time.sleep(10 * PATIENCE)
    finally:
        file.write_text("removed")


def test_a_killed_process_costs_only_its_own_call(tmp_path: Path) -> None:
    found = []

    def collect() -> None:
        for result in processes.finished_calls(dies, [(k, tmp_path) for k in range(5)], 2):
            found.append(result)

    with pytest.raises(processes.ProcessesKilled, match=r"was killed 3 times \(SIGKILL\)") as lost:
        collect()
    assert sorted(found) == [(k, k) for k in (0, 2, 3, 4)]
    assert lost.value.calls == {1: "SIGKILL"}
    assert [(tmp_path / str(k)).stat().st_size for k in range(5)] == [1, 3, 2, 1, 1]


def test_results_keep_their_order_and_processes_share_the_machine() -> None:
    calls = [(k,) for k in range(7)]
    assert list(processes.results_in_order(square, calls, 2)) == [k * k for k in range(7)]
    assert list(processes.finished_calls(square, [], 2)) == []
    found = list(processes.results_in_order(shares, [()] * 3, 2, fresh=True))
    assert len({process for _, _, process in found}) == 3, "one process for each call"
    for own, share, _ in found:
        assert share is not None
        assert own == share.processors == max(machine_share.processors() // 2, 1)
        assert share.number in (0, 1)


@pytest.mark.parametrize(
    "error",
    [InputError("3 is not good"), FileNotFoundError("no file 3"), EOFError()],
)
def test_the_error_of_a_call_is_raised(error: Exception) -> None:
    """It is not taken for the end of the process."""
    with pytest.raises(type(error), match=str(error)) as raised:
        list(processes.finished_calls(refuses, [(error,)], 1))
    assert "in refuses" in str(raised.value.__cause__)


def test_an_error_that_cannot_be_sent_is_described() -> None:
    with pytest.raises(RuntimeError, match="Awkward: 1 and 2"):
        list(processes.finished_calls(is_awkward, [()], 1))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_waits(ending: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C is sent to the whole group, as a terminal does; SIGKILL to the parent alone."""
    lines = (
        "import sys",
        "from pathlib import Path",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        "from test_processes import waits",
        "from face_perception.learning.processes import finished_calls",
        f"list(finished_calls(waits, [(Path({str(tmp_path)!r}),)] * 4, 2))",
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    if ending == signal.SIGINT:
        os.killpg(parent.pid, ending)
    else:
        parent.send_signal(ending)
    said = parent.communicate(timeout=PATIENCE)[1]
    assert parent.returncode == (-ending if ending == signal.SIGKILL else -signal.SIGINT)
    assert said.count("Traceback") == (ending == signal.SIGINT), said
    wait_until(lambda: not any(map(runs, tmp_path.iterdir())))
    left = [file.read_text() for file in tmp_path.iterdir()]
    assert left == ["removed"] * 2, "no other call was begun, and none leaves a half-written file"


def runs(file: Path) -> bool:
    try:
        status = Path(f"/proc/{file.name}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # a zombie waits for init only


def wait_until(done: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_other_file_of_the_training_has_a_pool_of_its_own() -> None:
    folder = Path(processes.__file__).parent
    others = set(folder.rglob("*.py")) - {Path(processes.__file__)}
    assert len(others) > 100
    for file in others:
        text = file.read_text()
        assert "ProcessPoolExecutor" not in text, file
        assert "import multiprocessing" not in text, file
