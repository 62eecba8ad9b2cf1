"""Tests of ``face-perception table`` on results of known content."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from gaze_scene import CAMERA, Actor

from face_perception import cli
from face_perception.errors import InputError
from face_perception.results import FrameResult, frame_columns, frame_rows
from face_perception.types import ActionUnit, ActionUnits, Expression, Neutral

UNITS = ActionUnits("ada", "landmarks", {12: ActionUnit(0.75, 0.5, 0.25)}, neutral=Neutral.LEARNED)


def write(path: Path, frames: list[FrameResult]) -> Path:
    lines = [json.dumps(frame.to_json(number)) for number, frame in enumerate(frames)]
    path.write_text("".join(line + "\n" for line in lines))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three frames: two faces, nobody, and one face without a gaze."""
    ada, bob = Actor("ada"), Actor("bob")
    happy = Expression("ada", "test", [0.1, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1], 0.9)
    both = FrameResult(
        0.0,
        CAMERA,
        (ada.face(0.0), bob.face(0.0)),
        (ada.gaze(0.0), bob.gaze(0.0)),
        (UNITS,),
        (happy,),
        (),
        (),
    )
    nobody = FrameResult(0.1, CAMERA, (), (), (), (), (), ())
    unseen = FrameResult(0.2, CAMERA, (bob.face(0.2),), (), (), (), (), ())
    return write(tmp_path / "clip.jsonl", [both, nobody, unseen])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_for_each_face_and_one_for_a_frame_without(results: Path, tmp_path: Path) -> None:
    assert cli.main(["table", str(results), "--output", str(tmp_path / "t.csv"), "--degrees"]) == 0
    table = read(tmp_path / "t.csv")
    assert [(row["clip"], row["frame"], row["face_id"]) for row in table] == [
        ("clip", "0", "ada"),
        ("clip", "0", "bob"),
        ("clip", "1", ""),
        ("clip", "2", "bob"),
    ]
    ada, bob, nobody, unseen = table
    assert (ada["au12_intensity"], ada["au12_probability"]) == ("0.75", "0.5")
    assert (bob["au12_intensity"], bob["expression_happy"]) == ("", "")
    assert (ada["expression_happy"], ada["action_unit_neutral"]) == ("0.4", "learned")
    assert (ada["gaze_valid"], unseen["gaze_valid"], nobody["gaze_valid"]) == ("TRUE", "", "")
    assert nobody["stamp"] == "0.1"
    assert float(ada["gaze_yaw_deg"]) == pytest.approx(
        math.degrees(float(ada["gaze_yaw"])), abs=1e-3
    )
    assert float(ada["gaze_origin_z"]) > 0
    assert ada["roi_width"] == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.jsonl", "t.csv"]


def test_parquet_has_types_and_units(results: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert cli.main(["table", str(results), "--output", str(tmp_path / "t.parquet")]) == 0
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.num_rows == 4
    assert table["face_id"].to_pylist() == ["ada", "bob", None, "bob"]
    assert str(table.schema.field("gaze_valid").type) == "bool"
    assert str(table.schema.field("attention_target").type) == "string"  # although it is unknown
    assert table.schema.field("gaze_yaw").metadata[b"unit"] == b"rad"
    assert table["au12_intensity"].to_pylist() == [0.75, None, None, None]


@pytest.mark.parametrize("name", ["22:57", "caf\udce9", "a%d b"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_any_name_will_do(
    name: str, suffix: str, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    source, table = Path(f"{name}.jsonl"), Path(f"{name}{suffix}")
    results.rename(source)
    assert cli.main(["table", str(source), "--output", str(table)]) == 0
    if suffix == ".csv":
        assert {row["clip"] for row in read(table)} == {name.replace("\udce9", "\\xe9")}
    assert table.stat().st_size > 0


def test_every_value_has_the_type_of_its_column(results: Path) -> None:
    wanted = frame_columns([results], degrees=True)
    names = [column.name for column in wanted]
    assert len(names) == len(set(names))
    for row in frame_rows(results, wanted):
        for column, value in zip(wanted, row, strict=True):
            kinds = (int, float) if column.type is float else (column.type,)
            assert value is None or type(value) in kinds, column.name


def test_a_clip_without_faces_has_no_columns_of_action_units(tmp_path: Path) -> None:
    nobody = write(tmp_path / "empty.jsonl", [FrameResult(0.0, CAMERA, ())])
    names = [column.name for column in frame_columns([nobody])]
    assert "action_unit_source" in names
    assert not {"action_units", "action_unit_probability", "action_unit_confidence"} & set(names)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        ('{"faces": 3}', "line 2"),
        ('{"faces": [], "frame": 1}', "'stamp' is missing"),
        (
            '{"faces": [{}], "frame": 1, "stamp": 0, "camera": null}',
            "no 'action_unit_confidence'",
        ),
        ("\x00\x01", "line 2"),
        (
            '{"faces": [], "frame": 0, "stamp": 9, "camera": null}',
            "frame 0 after frame 0.*two runs",
        ),
        (
            '{"faces": [], "frame": "1", "stamp": 9, "camera": null}',
            "its frame or its stamp is not",
        ),
        (
            '{"faces": [], "frame": 1, "stamp": null, "camera": null}',
            "its frame or its stamp is not",
        ),
        (
            '{"faces": [], "frame": 1, "stamp": 1e999, "camera": null}',
            "its frame or its stamp is not",
        ),
        ('{"faces": [], "frame": 1, "stamp": NaN, "camera": null}', "the number NaN"),
    ],
)
def test_what_is_not_a_result_is_named(results: Path, line: str, reason: str) -> None:
    first = results.read_text().splitlines()[0]
    results.write_text(f"{first}\n{line}\n")
    with pytest.raises(InputError, match=rf"clip\.jsonl.*{reason}"):
        frame_columns([results])


def test_empty_lines_are_left_out(results: Path) -> None:
    """Editors add them."""
    wanted = frame_columns([results])
    before = list(frame_rows(results, wanted))
    results.write_text("\n" + results.read_text().replace("\n", "\r\n\r\n"))
    assert list(frame_rows(results, wanted)) == before


def test_a_value_of_another_kind_is_named(results: Path) -> None:
    wanted = frame_columns([results])
    found: dict[str, Any] = json.loads(results.read_text().splitlines()[0])
    found["faces"][0]["gaze"] = 5
    results.write_text(json.dumps(found) + "\n")
    with pytest.raises(InputError, match=r"clip\.jsonl, frame 0 cannot be read"):
        list(frame_rows(results, wanted))


def test_wrong_files_are_refused(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    same = write(tmp_path / "b" / "clip.jsonl", [])
    for arguments, said in (
        ([results, "--output", tmp_path / "t.xlsx"], ".csv or .parquet"),
        ([results, "--output", tmp_path / "t.csv", "--format", "csv"], "is for a folder"),
        ([results, same, "--output", tmp_path / "t.csv"], "the same clip"),
        ([tmp_path / "none.jsonl", "--output", tmp_path / "t.csv"], "none.jsonl"),
        ([tmp_path, "--output", tmp_path / "t.csv"], str(tmp_path)),
    ):
        assert cli.main(["table", *map(str, arguments)]) == 1
        assert said in capsys.readouterr().err
        assert not (tmp_path / "t.csv").exists()
