"""Sweeps of a recipe: what a file asks for, and that a killed process loses no finished job."""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")

from face_perception.cli import main
from face_perception.commands.train import _means
from face_perception.errors import InputError
from face_perception.learning import machine_share, runs, sweep, sweep_jobs, training_loop
from face_perception.learning.dilated_net import recipe as recipes
from face_perception.learning.processes import ProcessesKilled

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


def test_combinations_chosen_at_random_are_always_the_same(tmp_path: Path) -> None:
    file = recipe(tmp_path, "sweep: {seed: [0, 1, 2, 3, 4, 5], batch: [2, 4]}", "combinations: 5")
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
        (("sweep: {rate: [0.1]}", "combinations: 2"), "must be a whole number from 1 to 1"),
        (("sweep: {seed: [0, 1]}", "combinations: 1.5"), "must be a whole number from 1 to 2"),
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
    again = sweep_jobs.run_job(first, data, out, "validation")
    assert sweep_jobs.read_figures(out / first.name) == {
        "test": done.figures,
        "validation": again.figures,
    }
    with pytest.raises(InputError, match="has a sweep on other data"):
        sweep._prepare([first], tmp_path, out)
    (other,) = sweep.read_jobs(recipe(tmp_path, "sweep: {seed: [0]}", "momentum: 0.9"))
    with pytest.raises(InputError, match="of a sweep with other settings"):
        sweep._prepare([other], data, out)


def test_a_training_that_diverges_has_no_figures(tmp_path: Path, data: Path) -> None:
    """Its network answers NaN, which some figures count as an answer."""
    (one,) = sweep.read_jobs(recipe(tmp_path, "sweep: {rate: [1.0e+30]}"))
    sweep._prepare([one], data, tmp_path)
    found = sweep_jobs.run_job(one, data, tmp_path, "test")
    assert found.failed == "the weights are no longer finite: train again with a lower rate"


def test_the_mean_of_networks_leaves_out_nan() -> None:
    found = [{"a": 3.0, "b": math.nan}, {"a": math.nan, "b": math.nan}, {"a": 1.0, "c": 2.0}]
    assert _means(found) == ["mean of 2: a: 2 (1 to 3)", "mean of 1: c: 2 (2 to 2)"]


@pytest.mark.parametrize(
    ("by", "order"), [("error_deg", "bacnf"), ("-error_deg", "cabnf"), ("ssim", "anbfc")]
)
def test_jobs_without_a_figure_come_last(by: str, order: str) -> None:
    values: dict[str, float | None] = {"a": 2, "n": math.nan, "b": 1, "f": None, "c": 3}
    found = [
        sweep_jobs.Finished(job(name), {} if value is None else {"error_deg": value})
        for name, value in values.items()
    ]
    assert "".join(row[0] for row in sweep.table(found, by)[1:]) == order


def job(name: str, **settings: Any) -> sweep_jobs.Job:
    return sweep_jobs.Job(name, {"name": name}, settings)


def test_a_figure_is_checked_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["sweep", recipe(tmp_path, "sweep: {seed: [0]}"), "--out", str(tmp_path / "out")]
    assert main([*said, "--by=-eror_deg"]) == 1
    assert "no figure eror_deg: use one of images, people, error_deg" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for task in runs.TASKS:
        assert runs.figures_of(task)
    sweep.check_figure([job("a", task="small_action_units")], "-au_12_auc")
    sweep.check_figure([job("a")], "error_deg")


def test_a_job_that_has_no_such_figure_leaves_the_table_unsorted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sweep,
        "run_sweep",
        lambda jobs, *_, **__: [sweep_jobs.Finished(one, {"images": 3}) for one in jobs],
    )
    assert main(["sweep", recipe(tmp_path, "sweep: {seed: [1, 0]}"), "--by", "accuracy"]) == 0
    said = capsys.readouterr()
    assert [line.split("\t")[0] for line in said.out.splitlines()] == ["job", "seed=1", "seed=0"]
    assert "no job has the figure of --by=accuracy" in said.err


def test_only_the_job_that_dies_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are finished; two jobs share the processors, however many --workers there are."""
    jobs = [job("a"), job("b")]

    def some(_: Any, calls: list[Any], workers: int, *, start: Any) -> Iterator[Any]:
        assert (workers, start.args) == (16, (2,))
        yield 0, sweep_jobs.Finished(calls[0][0], {"error_deg": 1})
        raise ProcessesKilled({1: "SIGKILL"})

    monkeypatch.setattr(sweep, "finished_calls", some)
    found = sweep.run_sweep(jobs, None, tmp_path, split="test", workers=16, ray="", report=print)
    assert [one.failed[:46] for one in found] == [
        "",
        "its process was killed 3 times (SIGKILL): perh",
    ]


def test_an_interrupted_sweep_on_ray_keeps_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Tune takes Ctrl-C, and returns with the trials that are finished."""

    def some(jobs: list[Any], data: Any, out: Any, split: str, ray: str, add: Any) -> None:
        add(sweep_jobs.Finished(jobs[1], {"error_deg": 1}))

    monkeypatch.setattr(sweep, "run_on_ray", some)
    said: list[str] = []
    jobs = [job("a"), job("b")]
    with pytest.raises(KeyboardInterrupt):
        sweep.run_sweep(
            jobs, None, tmp_path, split="test", workers=1, ray="auto", report=said.append
        )
    assert "stopped with 1 of 2 jobs" in said[-1]
    assert (tmp_path / "sweep.csv").read_text().splitlines()[1].startswith("b,")


@pytest.mark.parametrize(
    ("left", "settings", "resume", "part"),
    [
        (["data/labels", "data.123.part/images/a.png"], {}, False, "test"),
        (["recipe.yaml", "data/labels"], {}, False, "test"),
        (["recipe.yaml", "last.ckpt"], {}, True, "test"),
        (["recipe.yaml", "trunk/last.ckpt"], {"task": "multitask"}, True, "test"),
        ([], {"task": "mouth"}, False, None),
        ([], {"hold_out": "person_0001"}, False, None),
    ],
)
def test_a_job_continues_what_is_left_of_it(
    left: list[str],
    settings: dict[str, Any],
    resume: bool,
    part: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = job("a", **settings)
    for name in left:
        file = tmp_path / "a" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    seen: list[object] = []

    def train(recipe: str, data: Path | None, out: Path, *, resume: bool, **_: Any) -> None:
        begun = (out / "recipe.yaml").exists()
        assert begun or not list(out.glob("data*")), "pictures of another attempt are in the way"
        seen.append(resume)

    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(runs, "evaluate", lambda out, data, split, _: seen.append(split) or {})
    assert sweep_jobs.run_job(one, None, tmp_path, "test").failed == ""
    assert seen == [resume, part]


@pytest.mark.parametrize(("gpus", "devices"), [(0, 1), (1, [0]), (2, [1]), (3, [0])])
def test_a_job_trains_on_one_device_without_a_progress_bar(
    gpus: int, devices: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    class Trainer:
        def __init__(self, **settings: Any) -> None:
            seen.update(settings)

        def fit(self, module: object, ckpt_path: object) -> None:
            pass

    monkeypatch.setattr(training_loop.lightning, "Trainer", Trainer)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    training_loop.fit_module(torch.nn.Identity(), epochs=1, seed=0)
    assert (seen["devices"], seen["enable_progress_bar"]) == ("auto", True)
    monkeypatch.setattr(machine_share, "_share", machine_share.MachineShare(1, number=3))
    training_loop.fit_module(torch.nn.Identity(), epochs=1, seed=0)
    assert (seen["devices"], seen["enable_progress_bar"]) == (devices, False)
    assert seen["strategy"] == "auto"


@pytest.mark.slow
def test_ctrl_c_stops_a_sweep(tmp_path: Path) -> None:
    file, out = recipe(tmp_path, "sweep: {seed: [0, 1, 2], epochs: [100000]}"), tmp_path / "out"
    command = "from face_perception.cli import main; raise SystemExit(main())"
    said = ["-c", command, "sweep", file, "--out", str(out), "--workers", "2"]
    running = subprocess.Popen(
        [sys.executable, *said], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while len(list(out.glob("*/last.ckpt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    assert "stopped with 0 of 3 jobs; the same command" in running.communicate(timeout=60)[1]
    assert running.returncode == 130
    while time.monotonic() < deadline:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a process goes on")


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
