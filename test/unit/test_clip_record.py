"""Tests which results ``run --resume`` leaves as they are, and the progress of ``run``."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pytest

from face_perception.cli import main
from face_perception.commands import run
from face_perception.commands.clip_analysis import ClipTask
from face_perception.commands.clip_progress import ClipProgress
from face_perception.commands.clip_record import is_done, record_of, result_settings, size_and_time
from face_perception.errors import InputError
from face_perception.results import read_record, record_path

SETTINGS = {"gaze": "geometric", "skip_frames": 0}


@pytest.fixture
def task(tmp_path: Path) -> ClipTask:
    """A clip with complete results and an annotated film."""
    (tmp_path / "clip.mp4").write_bytes(b"film")
    (tmp_path / "clip.jsonl").write_text("{}\n")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "clip.mp4").write_bytes(b"drawn")
    made = ClipTask(str(tmp_path / "clip.mp4"), str(tmp_path / "clip.jsonl"), tmp_path / "drawn")
    drawn = str(tmp_path / "drawn" / "clip.mp4")
    opened = size_and_time(tmp_path / "clip.mp4")
    record_of(made, opened, SETTINGS, 1, drawn).write(tmp_path / "clip.jsonl")
    return made


def test_complete_results_are_done(task: ClipTask) -> None:
    assert is_done(task, SETTINGS)
    assert is_done(ClipTask(task.input, task.output, None), SETTINGS)


def test_results_in_the_folder_of_a_bag_do_not_change_the_bag(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("files")
    (tmp_path / "a_0.mcap").write_bytes(b"messages")
    results = tmp_path / "faces.jsonl"
    task = ClipTask(str(tmp_path), str(results), None)
    opened = size_and_time(tmp_path)
    results.write_text("{}\n")
    record_of(task, opened, SETTINGS, 1, "").write(results)
    assert is_done(task, SETTINGS)
    (tmp_path / "a_0.mcap").write_bytes(b"other messages")
    assert not is_done(task, SETTINGS)


def test_a_path_with_dots_is_the_same_folder(
    task: ClipTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(task.input).parent / "drawn")
    assert is_done(ClipTask(task.input, task.output, Path("../drawn")), SETTINGS)


@pytest.mark.parametrize(
    "change",
    ["settings", "clip", "no clip", "results", "no results", "no record", "torn record", "drawn"],
)
def test_anything_else_is_not_done(task: ClipTask, change: str) -> None:
    results = Path(str(task.output))
    settings: dict[str, Any] = dict(SETTINGS)
    if change == "settings":
        settings["gaze"] = "geddnet"
    elif change == "clip":
        Path(task.input).write_bytes(b"another film")
    elif change == "no clip":
        Path(task.input).unlink()
    elif change == "results":
        results.write_text("{}\n{")
    elif change == "no results":
        results.unlink()
    elif change == "no record":
        record_path(results).unlink()
    elif change == "torn record":
        text = record_path(results).read_text()
        record_path(results).write_text(text[: len(text) // 2])
    else:
        (results.parent / "drawn" / "clip.mp4").unlink()
    assert not is_done(task, settings)


def test_a_record_says_what_the_results_were_made_from(task: ClipTask) -> None:
    results = Path(str(task.output))
    record = read_record(results)
    assert record is not None
    assert (record.input, record.frames, record.settings) == (task.input, 1, SETTINGS)
    record_path(results).write_text(json.dumps({"input": "a"}))
    with pytest.raises(InputError, match=r"clip\.run\.json cannot be read.*remove it"):
        read_record(results)


def parsed(*options: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    run.add_parser(parser.add_subparsers())
    return result_settings(parser.parse_args(["run", "a.mp4", *map(str, options)]))


def test_settings_count_unless_they_change_no_result(tmp_path: Path) -> None:
    plain = parsed()
    json.dumps(plain)
    neutral = tmp_path / "neutral.png"
    neutral.write_bytes(b"one")
    assert parsed("--jobs", 2, "--threads", 2, "--output", tmp_path, "--resume") == plain
    first = parsed("--neutral", neutral)
    assert first != plain
    neutral.write_bytes(b"another")
    assert parsed("--neutral", neutral) != first
    for options in (("--skip-frames", 1), ("--landmarks",), ("--max-faces", 3)):
        assert parsed(*options) != plain, options


def test_a_folder_with_the_name_of_an_option_is_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results of ``--gaze geddnet`` may go into a folder ``geddnet``."""
    monkeypatch.chdir(tmp_path)
    before = parsed("--gaze", "geddnet")
    (tmp_path / "geddnet").mkdir()
    (tmp_path / "geddnet" / "clip.jsonl").write_text("{}\n")
    assert parsed("--gaze", "geddnet") == before


def test_a_bag_with_the_neutral_face_is_a_setting(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "metadata.yaml").write_text("one")
    before = parsed("--neutral", bag)
    (bag / "metadata.yaml").write_text("another")
    assert parsed("--neutral", bag) != before


def test_a_long_list_of_targets_is_no_file() -> None:
    targets = ";".join(f"target_{number}=0,0,1,0.1" for number in range(100))
    assert parsed("--targets", targets)["targets"] == targets


def test_resume_needs_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "a.mp4"), "--resume"]) == 1
    assert "--resume needs" in capsys.readouterr().err


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_of_no_clips_is_complete() -> None:
    """All files are analysed already."""
    with ClipProgress({}, stream=Terminal()) as progress:
        assert progress.text() == "100%"


def test_progress_counts_clips_by_their_size() -> None:
    now = 0.0
    shown = io.StringIO()
    with ClipProgress({"small": 100, "large": 300}, now=lambda: now, stream=shown) as progress:
        assert progress.text() == "0 of 2 files, 0%"
        now = 50.0
        progress.finish("small")
        assert progress.text() == "1 of 2 files, 25%, 2 min 30 s left"
        assert shown.getvalue() == ""
        now = 61.0
        progress.update("large", 0.5)
    assert shown.getvalue() == "1 of 2 files, 62%, 37 s left\n"


def test_a_hint_that_is_the_same_for_all_clips_is_printed_once() -> None:
    shown = io.StringIO()
    with ClipProgress({"a": 1, "b": 1}, stream=shown) as progress:
        progress.print("a.mp4: 3 frames\nthe camera is assumed")
        progress.print("b.mp4: 3 frames\nthe camera is assumed")
        progress.print("the camera is assumed")
    assert shown.getvalue() == "a.mp4: 3 frames\nthe camera is assumed\nb.mp4: 3 frames\n"
