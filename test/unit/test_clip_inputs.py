"""Which clips files, folders and patterns stand for, and what ``annotate`` makes of them."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from synthetic_session import Script, lines, write

from face_perception import cli
from face_perception.commands import run as run_command
from face_perception.commands.clip_inputs import clips_in
from face_perception.commands.clip_record import result_settings
from face_perception.commands.clip_task import ClipTask
from face_perception.errors import InputError
from face_perception.results import RunRecord


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "clips"
    (made / "drive").mkdir(parents=True)
    (made / "drive" / "metadata.yaml").touch()
    (made / "deeper").mkdir()
    for name in ("b.mp4", "a.MKV", "c.jpg", "notes.txt", ".hidden.mp4", "deeper/d.mp4", "e.mcap"):
        (made / name).touch()
    # What commands write.
    for name in ("b.jsonl", "b.run.json", "b.markers.csv", "frames.parquet", "b.eaf", "plan.svg"):
        (made / name).touch()
    return made


def test_a_folder_stands_for_the_clips_in_it(folder: Path) -> None:
    names = [Path(name).name for name in clips_in([str(folder)])]
    assert names == ["a.MKV", "b.mp4", "c.jpg", "drive", "e.mcap"]
    assert clips_in([str(folder / "drive")]) == [str(folder / "drive")]
    assert clips_in([str(folder / "b.mp4"), str(folder)])[0] == str(folder / "b.mp4")
    assert len(clips_in([str(folder / "b.mp4"), str(folder)])) == 5


def test_a_pattern_that_the_shell_left_stands_for_its_files(folder: Path) -> None:
    assert clips_in([f"{folder}/**/*.mp4"]) == [f"{folder}/b.mp4", f"{folder}/deeper/d.mp4"]
    # Not the folder "deeper".
    assert clips_in([f"{folder}/d*"]) == [f"{folder}/drive"]
    odd = folder / "take[1].mp4"
    odd.touch()
    assert clips_in([str(odd)]) == [str(odd)]


def test_a_folder_or_pattern_without_clips_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty has no picture, film or bag"):
        clips_in([str(tmp_path / "empty")])
    with pytest.raises(InputError, match=r"no file matches '.*\*\.mov'"):
        clips_in([f"{folder}/*.mov"])


def test_annotate_makes_tables_of_what_run_has_analysed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two films cannot be read: the tables have the other one, and the exit code is 1."""
    output, asked = tmp_path / "study", []

    films = [str(folder / name) for name in ("a.MKV", "b.mp4")]

    def analyse(args: object) -> tuple[list[ClipTask], dict[str, str]]:
        asked.append(vars(args))
        for name in ("a.jsonl", "b.jsonl"):  # those of the broken film are of an earlier run
            path = write(output / name, lines([Script("ada", looks=[(0, 2, "robot")])], 2.0))
            RunRecord(name, 0, 0, "", 60, path.stat().st_size, {}).write(path)
        tasks = [ClipTask(f, str(output / f"{Path(f).stem}.jsonl"), None) for f in films]
        return tasks, {films[0]: "it is broken"}

    monkeypatch.setattr(run_command, "analyse", analyse)
    arguments = ["annotate", *films, "--output", str(output), "--degrees", "--max-faces", "3"]
    assert cli.main(arguments) == 1
    names = {file.name for file in output.iterdir()}
    assert {"frames.csv", "events.csv", "persons.csv", "markers.csv", "columns.csv"} <= names
    assert "gaze_yaw_deg" in (output / "frames.csv").read_text().partition("\n")[0]
    with (output / "frames.csv").open() as file:
        assert {row["clip"] for row in csv.DictReader(file)} == {"b"}
    # `run --resume` takes what `annotate` made: it has the same settings.
    monkeypatch.undo()
    (options,) = asked
    parsed = cli._parser("run").parse_args(["run", *films, "--max-faces", "3"])
    assert options.keys() == vars(parsed).keys()
    assert {**options, "run": None, "output": None} == {**vars(parsed), "run": None}
    assert result_settings(parsed)["max_faces"] == "3"


def test_annotate_refuses_what_the_tables_would_refuse_before_it_analyses(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run_command, "analyse", lambda args: pytest.fail("it analyses"))
    session = tmp_path / "session"
    (session / "bag").mkdir(parents=True)
    film = str(folder / "b.mp4")
    for output, said in (("-", "give --output FOLDER"), (str(session), "is a session")):
        assert cli.main(["annotate", film, "--output", output]) != 0
        assert said in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    study = tmp_path / "study"
    assert cli.main(["annotate", film, "--output", str(study), "--format", "parquet"]) != 0
    assert "pip install pyarrow" in capsys.readouterr().err
    assert not study.exists()
