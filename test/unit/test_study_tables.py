"""Tests the tables of events, persons and targets of ``face-perception table --output FOLDER``."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from synthetic_session import Script, lines, write

from face_perception import cli
from face_perception.results import find_events, read_clip, study_tables, summarise_persons

LEFT, RIGHT = (-0.5, 0.0, 1.5), (0.5, 0.05, 1.5)
TABLES = ("frames", "events", "persons", "targets", "markers")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of two people, of whom one is linked, and a clip without a face."""
    folder = tmp_path_factory.mktemp("session")
    ada = Script(
        "face_1",
        LEFT,
        looks=[(0, 10, "robot"), (10, 15, "face_2")],
        shut=[(4, 4.2), (7, 7.2), (18, 19)],
        smiles=[(2, 4)],
        person_id="ada",
        calibrated=True,
    )
    bob = Script("face_2", RIGHT, looks=[(12, 20, "face_1")], hidden=[(0, 2)])
    write(folder / "empty.jsonl", lines([], 1.0))
    return write(folder / "talk.jsonl", lines([ada, bob], 20.0))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_gets_all_tables_and_their_dictionary(session: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "study"
    inputs = [str(session), str(session.with_name("empty.jsonl"))]
    assert cli.main(["table", *inputs, "--output", str(output), "--degrees"]) == 0
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [*(f"{name}.csv" for name in TABLES), "columns.csv"]
    )
    dictionary = read(output / "columns.csv")
    for name in TABLES:
        header = next(csv.reader((output / f"{name}.csv").open()))
        assert [row["column"] for row in dictionary if row["table"] == name] == header
        assert len(header) == len(set(header))
    assert all(row["type"] and row["meaning"] for row in dictionary)
    assert {"quality_head_yaw_p05", "quality_head_yaw_p05_deg"} <= {
        row["column"] for row in dictionary
    }
    frames = read(output / "frames.csv")
    assert sum(row["clip"] == "empty" for row in frames) == 30
    ada, bob = read(output / "persons.csv")
    assert (ada["person"], ada["person_id"], ada["face_ids"]) == ("ada", "ada", "face_1")
    assert (bob["person"], bob["person_id"]) == ("face_2", "")
    assert (ada["blinks"], ada["eye_closures"], ada["smiles"]) == ("2", "1", "1")
    assert ada["speech_turns"] == "", "speech was not estimated, which is not the same as silence"
    assert float(ada["looks_robot_total"]) == pytest.approx(10, abs=0.1)
    assert float(ada["share_robot"]) == pytest.approx(0.5, abs=0.01)
    assert float(ada["share_face"]) == pytest.approx(0.25, abs=0.01)
    assert float(ada["share_none"]) == pytest.approx(0.25, abs=0.01)
    # 2 blinks in 20 s less the second of closed eyes.
    assert float(ada["blink_rate"]) == pytest.approx(2 / 19 * 60, rel=0.01)
    assert float(ada["share_happy"]) == pytest.approx(0.1, abs=0.01)
    assert float(ada["au12_mean"]) == pytest.approx(0.1 * 0.8 + 0.9 * 0.02, abs=0.001)
    assert ada["au12_n"] == "600"
    assert (float(ada["seconds"]), float(bob["seconds"])) == pytest.approx((20, 18), abs=0.04)
    assert float(ada["mutual_gazes_total"]) == pytest.approx(3, abs=0.1)
    assert bob["mutual_gazes_total"] == ada["mutual_gazes_total"]
    assert (ada["quality_calibrated"], bob["quality_calibrated"]) == ("1.0", "0.0")
    assert ada["quality_camera_assumed"] == "TRUE"
    assert "The camera is not calibrated" in ada["quality_warnings"]
    assert "not calibrated for this person" in bob["quality_warnings"]
    targets = {
        (r["person"], r["target"], r["target_person"]): r for r in read(output / "targets.csv")
    }
    assert float(targets["ada", "face", "face_2"]["share"]) == pytest.approx(0.25, abs=0.01)
    assert float(targets["face_2", "face", "ada"]["total"]) == pytest.approx(8, abs=0.1)
    assert targets["face_2", "robot", ""]["looks"] == "0"


def test_parquet_tables_have_types_and_units(session: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "study"
    arguments = ["--output", str(output), "--format", "parquet"]
    assert cli.main(["table", str(session), *arguments]) == 0
    events = parquet.read_table(output / "events.parquet")
    assert events.schema.field("duration").metadata[b"unit"] == b"s"
    assert str(events.schema.field("onset_seen").type) == "bool"
    assert set(events["event"].to_pylist()) == {
        *("look", "blink", "eye_closure", "smile", "mutual_gaze")
    }
    persons = parquet.read_table(output / "persons.parquet")
    assert persons.schema.field("blink_rate").metadata[b"unit"] == b"1/min"
    assert persons["speech_turns"].to_pylist() == [None, None]


def test_every_value_has_the_type_of_its_column(session: Path) -> None:
    for table in study_tables([session], degrees=True):
        for row in table.rows:
            for column, value in zip(table.columns, row, strict=True):
                kinds = (int, float) if column.type is float else (column.type,)
                assert value is None or type(value) in kinds, column.name


def test_shares_are_of_time_not_of_frames(tmp_path: Path) -> None:
    """The film has half the frame rate while the person looks at the robot."""
    found = lines([Script("ada", looks=[(0, 5, "robot")])], 10.0)
    clip = read_clip(write(tmp_path / "clip.jsonl", found[:150:2] + found[150:]))
    (ada,) = summarise_persons(clip, find_events(clip))
    share = next(target.share for target in ada.targets if target.target == "robot")
    assert share == pytest.approx(0.5, abs=0.01)
    assert ada.quality.rate == pytest.approx(30.0, rel=1e-3)


def test_a_picture_has_no_rates(tmp_path: Path) -> None:
    clip = read_clip(
        write(tmp_path / "a.jsonl", lines([Script("ada", looks=[(0, 1, "robot")])], 0.03))
    )
    (ada,) = summarise_persons(clip, find_events(clip))
    assert (ada.seconds, ada.frames) == (0, 1)
    assert math.isnan(ada.blink_rate)
    assert ada.action_units[12].frames == 1
    assert ada.quality.gaze_valid == 1.0


def test_other_limits_of_events_are_options_and_are_named(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "study"
    arguments = ["table", str(session), "--output", str(output)]
    assert cli.main(arguments) == 0
    looks = [row for row in read(output / "events.csv") if row["event"] == "look"]
    assert cli.main([*arguments, "--shortest-look", "6"]) == 0
    long = [row for row in read(output / "events.csv") if row["event"] == "look"]
    assert 0 < len(long) < len(looks)
    assert min(float(row["duration"]) for row in long) >= 6
    meaning = next(r for r in read(output / "columns.csv") if r["column"] == "event")["meaning"]
    assert meaning.endswith("limits: shortest_look 6 s (default 0)")
    for wrong in ("-1", "nan", "long"):
        with pytest.raises(SystemExit):
            cli.main([*arguments, f"--shortest-look={wrong}"])
        said = capsys.readouterr().err
        assert f"--shortest-look: '{wrong}' is not a number (from 0 to 60 s)" in said
    # One table has no events: a limit would change nothing there.
    arguments = ["table", str(session), "--output", str(tmp_path / "frames.csv")]
    assert cli.main([*arguments, "--shortest-look", "6"]) == 1
    assert "leave out the limits of events (shortest_look 6 s" in capsys.readouterr().err
    assert cli.main([*arguments, "--shortest-look", "0"]) == 0
