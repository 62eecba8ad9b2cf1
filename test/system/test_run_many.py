"""Tests of ``face-perception run`` on several files: the same results as one by one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import COMMAND, call, film
from waits import scaled

from face_perception.inference import sample_photo
from face_perception.media import FrameReader
from face_perception.results.study_tables import TABLES

Call = Callable[..., subprocess.CompletedProcess[str]]


def scene(path: Path, start: float, frames: int) -> Path:
    """Writes a film of the sample scene from ``start`` seconds on."""
    return film(path, start + np.arange(frames) / 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two films, a picture and a damaged file."""
    made = tmp_path_factory.mktemp("many")
    scene(made / "first.avi", 13.0, 12)
    scene(made / "second.avi", 14.0, 9)
    shutil.copy(sample_photo("astronaut"), made / "still.png")
    (made / "torn.jpg").write_bytes(sample_photo("astronaut").read_bytes()[:20_000])
    return made


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_files_give_the_same_results_as_each_alone(
    folder: Path, tmp_path: Path, jobs: int, call_here: Call
) -> None:
    names = ["first.avi", "torn.jpg", "second.avi", "still.png"]
    lines, drawn = tmp_path / "lines", tmp_path / "drawn"
    inputs = [folder / name for name in names]
    done = call("run", *inputs, "--output", lines, "--annotated", drawn, "--jobs", jobs)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "3 of 4 files analysed" in done.stderr
    (reason,) = [line for line in done.stderr.splitlines() if line.startswith("face-perception:")]
    assert "torn.jpg" in reason
    for name, frames in (("first", 12), ("second", 9), ("still", 1)):
        found = (lines / f"{name}.jsonl").read_text()
        (source,) = folder.glob(f"{name}.*")
        alone = call_here("run", source, "--output", "-")
        assert found == alone.stdout
        assert found.count("\n") == frames
        assert "face_1" in found
        assert len(list(FrameReader(drawn / source.name))) == frames
    assert sorted(path.name for path in drawn.iterdir()) == sorted(set(names) - {"torn.jpg"})


def test_a_process_that_is_killed_costs_only_its_clip(tmp_path: Path) -> None:
    """The other clips are analysed, in another process; the lost one is named with the reason."""
    clips = [scene(tmp_path / "long.avi", 0.0, 300), scene(tmp_path / "short.avi", 13.0, 5)]
    output = tmp_path / "out"
    arguments = [*map(str, clips), "--output", str(output), "--jobs", "1"]
    process = subprocess.Popen([*COMMAND, "run", *arguments], stderr=subprocess.PIPE, text=True)
    wait_for_lines(process, output / "long.jsonl")
    (worker,) = children(process.pid)
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=scaled(60))
    assert process.returncode == 1
    (reason,) = [line for line in errors.splitlines() if line.startswith("face-perception:")]
    assert "long.avi" in reason
    assert "SIGKILL" in reason
    assert "1 of 2 files analysed" in errors
    assert len((output / "short.jsonl").read_text().splitlines()) == 5


def test_ctrl_c_ends_all_processes_and_keeps_whole_lines(tmp_path: Path) -> None:
    clips = [scene(tmp_path / f"{name}.avi", 0.0, 300) for name in ("one", "two")]
    shutil.copy(clips[0], tmp_path / "three.avi")
    output, drawn = tmp_path / "out", tmp_path / "drawn"
    arguments = [*map(str, [*clips, tmp_path / "three.avi"]), "--jobs", "2"]
    process = subprocess.Popen(
        [*COMMAND, "run", *arguments, "--output", str(output), "--annotated", str(drawn)],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts a process in the background makes it ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for_lines(process, output / "one.jsonl", output / "two.jsonl")
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=scaled(60))
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not (output / "three.jsonl").exists()
    for name in ("one", "two"):
        lines = [json.loads(line) for line in (output / f"{name}.jsonl").read_text().splitlines()]
        assert 0 < len(lines) < 300
        assert abs(len(list(FrameReader(drawn / f"{name}.avi"))) - len(lines)) <= 1
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_a_killed_run_and_its_resumption_give_the_same_tables(
    tmp_path: Path, call_here: Call
) -> None:
    clips = [scene(tmp_path / "a.avi", 13.0, 6), scene(tmp_path / "b.avi", 0.0, 150)]
    whole, output = tmp_path / "whole", tmp_path / "out"
    options = ["--skip-frames", "1"]
    process = subprocess.Popen(
        [*COMMAND, "run", *map(str, clips), "--output", str(output), *options],
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_for_lines(process, output / "b.jsonl")
    process.kill()
    process.wait()
    assert (output / "a.run.json").exists()
    assert not (output / "b.run.json").exists()
    before = (output / "a.jsonl").stat().st_mtime_ns
    resumed = call_here("run", *clips, "--output", output, *options, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "1 of 2 files are analysed already" in resumed.stderr
    assert "1 of 1 files analysed" in resumed.stderr
    assert (output / "a.jsonl").stat().st_mtime_ns == before

    assert call_here("run", *clips, "--output", whole, *options).returncode == 0
    for folder in (whole, output):
        made = call_here(
            "table", folder / "a.jsonl", folder / "b.jsonl", "--output", folder / "study"
        )
        assert made.returncode == 0, made.stderr
    names = sorted(path.name for path in (whole / "study").iterdir())
    assert names == sorted(f"{name}.csv" for name in (*TABLES, "columns"))
    for name in names:
        assert (output / "study" / name).read_bytes() == (whole / "study" / name).read_bytes()
    frames = [json.loads(line)["frame"] for line in (output / "b.jsonl").read_text().splitlines()]
    assert frames == list(range(0, 150, 2))

    nothing_left = call_here("run", *clips, "--output", output, *options, "--resume")
    assert "2 of 2 files are analysed already" in nothing_left.stderr
    other_settings = call_here("run", clips[0], "--output", output, "--max-faces", "1", "--resume")
    assert "already" not in other_settings.stderr
    assert "a.avi: 6 frame(s)" in other_settings.stderr


def wait_for_lines(process: subprocess.Popen[str], *paths: Path) -> None:
    end = time.monotonic() + scaled(60)
    while not all(path.exists() and path.read_text().count("\n") > 5 for path in paths):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Returns the processes that analyse clips, without Python's tracker of resources."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for task in tasks for child in task.read_text().split()]
    return [
        child
        for child in found
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (("a.avi", "b.avi"), (), ("--output FOLDER",)),
        (("a.avi", "b.avi"), ("--output", "-"), ("--output FOLDER",)),
        (("a.avi", "sub/a.png"), ("--output", "out"), ("a.avi", "sub/a.png", "same name")),
    ],
)
def test_results_that_would_be_mixed_are_refused(
    tmp_path: Path, names: tuple[str, ...], options: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [*COMMAND, "run", *names, *options], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert all(part in done.stderr for part in expected)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_model_is_reported_once(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "none"))
    done = call("run", folder / "first.avi", folder / "second.avi", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("face-perception models fetch") == 1


def test_one_file_goes_into_a_folder_that_exists(tmp_path: Path, call_here: Call) -> None:
    done = call_here(
        "run", sample_photo("astronaut"), "--output", tmp_path, "--annotated", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".jsonl", ".png"]
    np.testing.assert_equal(len(list(FrameReader(next(tmp_path.glob("*.png"))))), 1)
