"""Tests results as data frames, ELAN files and BORIS spreadsheets."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pytest
from synthetic_session import Script, lines, write

from face_perception import cli
from face_perception.errors import InputError, MissingDependencyError
from face_perception.results import (
    RunRecord,
    find_events,
    read,
    read_clip,
    write_boris,
    write_elan,
)

TABLES = ("frames", "events", "persons", "targets", "markers")
MADE = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of one person whose stamps are those of a bag, and the record of its film."""
    folder = tmp_path_factory.mktemp("export")
    found = lines(
        [Script("face_1", looks=[(1, 3, "robot"), (4, 5, "robot")], shut=[(2, 2.2)])], 6.0
    )
    for line in found:
        line["stamp"] += 1000.0
        line["faces"][0]["attention"]["target_since"] += 1000.0
    path = write(folder / "a & b.jsonl", found)
    (folder / "film").mkdir()
    film = folder / "film" / "a & b.mp4"
    RunRecord(str(film), 1, 2, "", len(found), path.stat().st_size, {}).write(path)
    return path


@pytest.fixture(scope="module")
def study(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "study"
    arguments = ["--output", str(folder), "--elan", "--boris"]
    assert cli.main(["table", str(results), *arguments]) == 0
    return folder


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_is_the_same_from_results_and_from_files(
    results: Path, study: Path, tmp_path: Path, library: str
) -> None:
    pytest.importorskip(library)
    pytest.importorskip("pyarrow")
    assert cli.main(["table", str(results), "--output", str(tmp_path), "--format", "parquet"]) == 0
    for name in TABLES:
        frames = [
            read(results, name, library),
            read(study, name, library),
            read(study / f"{name}.csv", library=library),
            read(tmp_path, name, library),
        ]
        assert len({tuple(frame.columns) for frame in frames}) == 1
        assert len({len(frame) for frame in frames}) == 1
        if library == "polars":
            assert all(frame.schema == frames[0].schema for frame in frames)
        for column in ("clip", "onset", "frames", "share_robot", "onset_seen", "gaze_valid"):
            if column in frames[0].columns:
                values = [[str(value) for value in frame[column].to_list()] for frame in frames]
                assert all(found == values[0] for found in values), (name, column)
    events = read(results, "events", library)
    looks = events[events["event"] == "look"] if library == "pandas" else events
    assert sorted(looks["duration"].to_list())[-1] == pytest.approx(2.0, abs=0.04)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_that_look_like_numbers_stay_text(tmp_path: Path, library: str, suffix: str) -> None:
    """A clip ``007``, a person ``1``, and text that is unknown."""
    pytest.importorskip(library)
    pytest.importorskip("pyarrow")
    ada = Script("12", looks=[(0, 1, "robot")], person_id="1e3")
    path = write(tmp_path / "007.jsonl", lines([ada], 1.0))
    study = tmp_path / "study"
    assert cli.main(["table", str(path), "--output", str(study), "--format", suffix]) == 0
    for source in (path, study):
        looks = read(source, "events", library)
        row = {name: looks[name].to_list()[0] for name in ("clip", "person", "face_id", "frame")}
        assert row == {"clip": "007", "person": "1e3", "face_id": "12", "frame": 0}
        unknown = looks["target_name"]
        assert (unknown.isna() if library == "pandas" else unknown.is_null()).all()


def test_what_cannot_be_read_is_named(results: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table 'looks' is unknown"):
        read(results, "looks")
    with pytest.raises(InputError, match=r"has no table 'frames'.*face-perception table"):
        read(tmp_path)
    with pytest.raises(InputError, match="is one table"):
        read(tmp_path / "frames.csv", "events")
    with pytest.raises(OSError, match="missing"):
        read(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named(
    results: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, library, None)
    fix = f"needs {library}: pip install {library}$"
    with pytest.raises(MissingDependencyError, match=fix):
        read(results, "events", library)


def test_elan_files_have_the_structure_of_eaf_3(results: Path, study: Path) -> None:
    """The elements in the order of the schema, ids that are unique, and references that exist."""
    root = ET.parse(study / "a & b.eaf").getroot()
    assert root.tag == "ANNOTATION_DOCUMENT"
    assert (root.get("FORMAT"), root.get("VERSION")) == ("3.0", "3.0")
    assert root.get("AUTHOR")
    datetime.datetime.fromisoformat(str(root.get("DATE")))
    order = ["HEADER", "TIME_ORDER", "TIER", "TIER", "LINGUISTIC_TYPE"]
    assert [child.tag for child in root] == order
    media = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    film = results.parent / "film" / "a & b.mp4"
    assert media.get("MEDIA_URL") == film.as_uri()
    assert (study / str(media.get("RELATIVE_MEDIA_URL"))).resolve() == film.resolve()
    assert media.get("MIME_TYPE") == "video/mp4"
    slots = {s.get("TIME_SLOT_ID"): int(str(s.get("TIME_VALUE"))) for s in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    kinds = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    found: dict[str, list[tuple[float, float, Any]]] = {}
    ids = []
    for tier in root.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in kinds
        assert tier.get("PARTICIPANT") == "face_1"
        last = -1
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            begin, end = (slots[one.get(f"TIME_SLOT_REF{i}")] for i in (1, 2))
            assert last <= begin < end, "annotations of a tier do not overlap"
            last = end
            ids.append(one.get("ANNOTATION_ID"))
            text = one.findtext("ANNOTATION_VALUE")
            found.setdefault(str(tier.get("TIER_ID")), []).append((begin / 1000, end / 1000, text))
    assert len(ids) == len(set(ids))
    assert root.findtext("HEADER/PROPERTY") == str(len(ids))
    assert found == {
        "blink@face_1": [(pytest.approx(2.0, abs=0.034), pytest.approx(2.2, abs=0.034), "blink")],
        "look@face_1": [
            (pytest.approx(1.0, abs=0.034), pytest.approx(3.0, abs=0.034), "robot"),
            (pytest.approx(4.0, abs=0.034), pytest.approx(5.0, abs=0.034), "robot"),
        ],
    }


def test_equal_events_give_equal_files(results: Path, tmp_path: Path) -> None:
    clip = read_clip(results)
    events = find_events(clip)
    for name in ("a", "b"):
        write_elan(tmp_path / f"{name}.eaf", clip, events, made=MADE)
        write_boris(tmp_path / f"{name}.xlsx", clip, events)
    for suffix in ("eaf", "xlsx"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"MEDIA_DESCRIPTOR" not in (tmp_path / "a.eaf").read_bytes()


def test_a_film_whose_name_is_not_utf_8_is_linked(results: Path, tmp_path: Path) -> None:
    clip = read_clip(results)
    write_elan(tmp_path / "a.eaf", clip, find_events(clip), str(tmp_path / "caf\udce9.mp4"))
    media = ET.parse(tmp_path / "a.eaf").getroot().find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    assert str(media.get("MEDIA_URL")).endswith("/caf%E9.mp4")


def test_boris_spreadsheets_have_a_row_for_each_start_and_stop(study: Path) -> None:
    with zipfile.ZipFile(study / "a & b.boris.xlsx") as parts:
        assert parts.testzip() is None
        for name in parts.namelist():
            ET.fromstring(parts.read(name))
        sheet = ET.fromstring(parts.read("xl/worksheets/sheet1.xml"))
    space = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    rows = [
        ["".join(cell.itertext()) for cell in row.iterfind("m:c", space)]
        for row in sheet.iterfind("m:sheetData/m:row", space)
    ]
    assert rows[0] == ["time", "subject", "code", "modifier", "comment"]
    assert [row[1:4] for row in rows[1:]] == [
        ["face_1", "look", "robot"],
        ["face_1", "blink", ""],
        ["face_1", "blink", ""],
        *[["face_1", "look", "robot"]] * 3,
    ]
    times = [float(row[0]) for row in rows[1:]]
    assert times == pytest.approx([1, 2, 2.2, 3, 4, 5], abs=0.034)


def test_a_picture_has_no_events_that_last(tmp_path: Path) -> None:
    """BORIS would read the stop of an event without a length before its start."""
    path = write(tmp_path / "a.jsonl", lines([Script("ada", looks=[(0, 1, "robot")])], 0.03))
    clip = read_clip(path)
    events = find_events(clip)
    assert events
    write_boris(tmp_path / "a.xlsx", clip, events)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as parts:
        assert parts.read("xl/worksheets/sheet1.xml").count(b"<row ") == 1
