"""Sweeps of a recipe: what a file asks for, and that a killed process loses no finished job."""

from __future__ import annotations

import csv
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")

from face_perception.cli import main
from face_perception.errors import InputError
from face_perception.learning import sweep, sweep_jobs
from face_perception.learning.dilated_net import recipe as recipes

TINY = "task: dilated_net\nepochs: 1\npeople: 10\nimages: 3\nwidth: 0.02\nbatch: 4\n"


def recipe(folder: Path, *lines: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(TINY + "\n".join(lines) + "\n")
    return str(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "set"
    settings = recipes.DilatedNetRecipe(people=10, images=3)
    recipes.write_synthetic_people(folder, settings)
    return folder


def test_every_combination_is_a_job(tmp_path: Path) -> None:
    jobs = sweep.read_jobs(
        recipe(tmp_path, "sweep: {rate: [1.0e-3, 0.01], dilated: [true, false]}")
    )
    assert [job.name for job in jobs] == [
        "rate=0.001,dilated=True",
        "rate=0.001,dilated=False",
        "rate=0.01,dilated=True",
        "rate=0.01,dilated=False",
    ]
    assert jobs[1].settings["width"] == 0.02
    assert jobs[1].settings["dilated"] is False


def test_draws_are_always_the_same_combinations(tmp_path: Path) -> None:
    file = recipe(tmp_path, "sweep: {seed: [0, 1, 2, 3, 4, 5], batch: [2, 4]}", "draws: 5")
    first, second = ([job.name for job in sweep.read_jobs(file)] for _ in range(2))
    assert first == second
    assert len(set(first)) == 5


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ((), "has no sweep: give lists of values"),
        (("sweep: [1, 2]",), "has no sweep: give lists of values"),
        (("sweep: {rate: 0.1}",), "sweep: rate is not a list"),
        (("sweep: {rate: []}",), "sweep: rate is not a list"),
        (("sweep: {rat: [0.1]}",), "there is no setting rat: did you mean rate?"),
        (("sweep: {rate: [0.1, -1]}",), "rate: -1 is not above 0"),
        (("sweep: {rate: [0.1, 0.1]}",), "the same combination twice"),
        (("sweep: {rate: [0.1]}", "draws: 2"), "draws must be a number of the 1 combinations"),
        (("sweep: {seed: [0, 1]}", "draws: 1.5"), "draws must be a number of the 2 combinations"),
        (("sweep: {task: [dilated_net]}", "task: nothing"), "task 'nothing' is not known"),
    ],
)
def test_a_wrong_file_is_refused_before_any_training(
    lines: tuple[str, ...], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=fault):
        sweep.read_jobs(recipe(tmp_path, *lines))


def test_a_job_that_fails_is_named_and_the_table_is_sorted(tmp_path: Path, data: Path) -> None:
    """In this process: a pool would import PyTorch again."""
    first, second = sweep.read_jobs(recipe(tmp_path, "sweep: {seed: [0, 1]}"))
    out = tmp_path / "out"
    sweep._prepare([first, second], data, out)
    done = sweep_jobs.run_job(first, data, out, "test")
    assert done.failed == ""
    assert done.figures["people"] == 2
    checkpoint = out / first.name / "last.ckpt"
    before = checkpoint.stat().st_mtime_ns
    found = sweep.run_sweep([first], data, out, split="test", workers=1, ray="", report=print)
    assert found == [done]
    assert checkpoint.stat().st_mtime_ns == before, "a finished job is not trained again"
    (alone,) = sweep.read_jobs(recipe(tmp_path, "sweep: {hold_out: [person_0001]}"))
    sweep._prepare([alone], data, out)
    held_out = sweep_jobs.run_job(alone, data, out, "test")
    assert held_out.figures["people"] == 1, "it is measured on the person who is held out"
    missing = sweep_jobs.run_job(second, tmp_path / "nothing", out, "test")
    assert "nothing" in missing.failed
    assert not (out / second.name / "figures.json").exists(), "it is tried again"
    rows = sweep.table([missing, done], "error_deg")
    assert [row[0] for row in rows] == ["job", first.name, second.name]
    with pytest.raises(InputError, match="no job has the figure accuracy: use one of images"):
        sweep.table([done], "accuracy")
    with pytest.raises(InputError, match="has a sweep on other data"):
        sweep._prepare([first], tmp_path, out)
    (other,) = sweep.read_jobs(recipe(tmp_path, "sweep: {seed: [0]}", "momentum: 0.9"))
    with pytest.raises(InputError, match="of a sweep with other settings"):
        sweep._prepare([other], data, out)


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_job(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = recipe(tmp_path, "sweep: {seed: [0, 1, 2]}"), tmp_path / "out"
    killed: list[Any] = []

    def kill() -> None:
        deadline = time.monotonic() + 300
        while not (figures := list(out.glob("*/figures.json"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        killed.extend((file, file.stat().st_mtime_ns) for file in figures)
        for child in multiprocessing.active_children():
            child.kill()

    killing = threading.Thread(target=kill)
    killing.start()
    said = ["sweep", file, "--data", str(data), "--out", str(out), "--workers", "1"]
    assert main([*said, "--split", "test"]) == 0
    killing.join()
    assert killed
    assert all(file.stat().st_mtime_ns == when for file, when in killed), "not made again"
    with (out / "sweep.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["seed"] for row in rows] == ["0", "1", "2"]
    assert all(row["failed"] == "" and float(row["error_deg"]) > 0 for row in rows)
    assert "3 of 3" in capsys.readouterr().err
