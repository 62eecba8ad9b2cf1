"""Which clips files, folders and patterns stand for, and what ``annotate`` makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_session import Script, lines, write

from face_perception import cli
from face_perception.commands import run as run_command
from face_perception.commands.clip_inputs import clips_in
from face_perception.commands.clip_record import result_settings
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
    return made


def test_a_folder_stands_for_the_clips_in_it(folder: Path) -> None:
    names = [Path(name).name for name in clips_in([str(folder)])]
    assert names == ["a.MKV", "b.mp4", "c.jpg", "drive", "e.mcap"]
    assert clips_in([str(folder / "drive")]) == [str(folder / "drive")]
    assert clips_in([str(folder / "b.mp4"), str(folder)])[0] == str(folder / "b.mp4")
    assert len(clips_in([str(folder / "b.mp4"), str(folder)])) == 5


def test_a_pattern_that_the_shell_left_stands_for_its_files(folder: Path) -> None:
    assert clips_in([f"{folder}/**/*.mp4"]) == [f"{folder}/b.mp4", f"{folder}/deeper/d.mp4"]
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

    def analyse(args: object) -> int:
        asked.append(vars(args))
        path = write(output / "b.jsonl", lines([Script("ada", looks=[(0, 2, "robot")])], 2.0))
        RunRecord("b.mp4", 0, 0, "", 60, path.stat().st_size, {}).write(path)
        return 1

    monkeypatch.setattr(run_command, "run", analyse)
    films = [str(folder / name) for name in ("a.MKV", "b.mp4")]
    arguments = ["annotate", *films, "--output", str(output), "--degrees", "--max-faces", "3"]
    assert cli.main(arguments) == 1
    names = {file.name for file in output.iterdir()}
    assert {"frames.csv", "events.csv", "persons.csv", "markers.csv", "columns.csv"} <= names
    assert "gaze_yaw_deg" in (output / "frames.csv").read_text().partition("\n")[0]
    # `run --resume` takes what `annotate` made: it has the same settings.
    monkeypatch.undo()
    (options,) = asked
    parsed = cli._parser("run").parse_args(["run", *films, "--max-faces", "3"])
    assert options.keys() == vars(parsed).keys()
    assert {**options, "run": None, "output": None} == {**vars(parsed), "run": None}
    assert result_settings(parsed)["max_faces"] == "3"
