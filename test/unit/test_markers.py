"""Markers in tables, reports, ELAN and BORIS files, and beside the results of ``run``."""

from __future__ import annotations

import csv
import dataclasses
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from synthetic_session import Script, lines, write

from face_perception import cli
from face_perception.errors import InputError
from face_perception.markers import MARKER_NAMES, Marker, marker_cells
from face_perception.results import (
    find_events,
    read,
    read_clip,
    read_clips,
    read_markers,
    write_boris,
    write_elan,
)

BEGIN = 1000.0
MARKERS = (
    Marker(BEGIN - 5.0, "arrived"),
    Marker(BEGIN + 0.5, "A", "service"),
    Marker(BEGIN + 2.5, "B & C", "lsl stimuli"),
    Marker(BEGIN + 2.7, "=D"),
    Marker(BEGIN + 2.7, "E"),
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of 5 s with two looks, and markers as a spreadsheet program may write them."""
    folder = tmp_path_factory.mktemp("markers")
    found = lines([Script("ada", looks=[(1, 2, "robot"), (3, 4, "robot")])], 5.0)
    for line in found:
        line["stamp"] += BEGIN
        line["faces"][0]["attention"]["target_since"] += BEGIN
    rows = [f"{m.stamp},{m.label},{m.source}\r\n" for m in reversed(MARKERS)]
    text = "\ufeffstamp,label,source\r\n" + "".join(rows)
    (folder / "clip.markers.csv").write_text(text, encoding="utf-8", newline="")
    return write(folder / "clip.jsonl", found)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_say_what_happened_after_which_marker(
    clip: Path, suffix: str, tmp_path: Path
) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert cli.main(["table", str(clip), "--output", str(tmp_path), "--format", suffix]) == 0
    for source in (clip, tmp_path):
        markers = read(source, "markers")
        assert markers["label"].tolist() == ["arrived", "A", "B & C", "=D", "E"]
        assert markers["time"].tolist() == pytest.approx([-5.0, 0.5, 2.5, 2.7, 2.7])
        assert markers["source"].fillna("").tolist() == ["", "service", "lsl stimuli", "", ""]
        events = read(source, "events")
        looks = events[events["event"] == "look"]
        assert looks["marker"].tolist() == ["A", "E"]
        expected = looks["onset"] - [BEGIN + 0.5, BEGIN + 2.7]
        assert looks["since_marker"].tolist() == pytest.approx(expected.tolist())
        frames = read(source, "frames")
        counts = frames["marker"].value_counts()
        # At 30 Hz: until 0.5 s, until 2.5 s, until 2.7 s, and to the end.
        assert [counts[name] for name in ("arrived", "A", "B & C", "E")] == [15, 60, 6, 69]
    (again,) = read_clips(tmp_path)
    assert again.markers == MARKERS == read_clip(clip).markers


def test_a_report_shows_markers_of_results_and_of_tables(clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main(["table", str(clip), "--output", str(tmp_path / "study")]) == 0
    for source in (clip, tmp_path / "study"):
        assert cli.main(["report", str(source), "-o", str(tmp_path / "a.html")]) == 0
        page = (tmp_path / "a.html").read_text()
        assert "B &amp; C" in page
        assert "arrived" not in page  # before the first frame


def test_elan_has_a_tier_of_markers(clip: Path, tmp_path: Path) -> None:
    found = read_clip(clip)
    write_elan(tmp_path / "a.eaf", found, find_events(found))
    root = ET.parse(tmp_path / "a.eaf").getroot()
    slots = {s.get("TIME_SLOT_ID"): int(str(s.get("TIME_VALUE"))) for s in root.iter("TIME_SLOT")}
    tier = root.find("TIER[@TIER_ID='markers']")
    assert tier is not None
    assert tier.get("PARTICIPANT") is None
    annotations = [
        (*(slots[one.get(f"TIME_SLOT_REF{i}")] for i in (1, 2)), one.findtext("ANNOTATION_VALUE"))
        for one in tier.iter("ALIGNABLE_ANNOTATION")
    ]
    # Annotations of a tier must not overlap.
    assert annotations == [(500, 1000, "A"), (2500, 2700, "B & C"), (2700, 3200, "=D; E")]


def test_boris_has_a_point_event_for_each_marker(clip: Path, tmp_path: Path) -> None:
    found = read_clip(clip)
    write_boris(tmp_path / "a.xlsx", found, find_events(found))
    with zipfile.ZipFile(tmp_path / "a.xlsx") as parts:
        sheet = ET.fromstring(parts.read("xl/worksheets/sheet1.xml"))
    space = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    rows = [
        ["".join(cell.itertext()) for cell in row.iterfind("m:c", space)]
        for row in sheet.iterfind("m:sheetData/m:row", space)
    ]
    assert [row[4] for row in rows if row[2] == "marker"] == ["A", "B & C", "=D", "E"]
    assert [row[:3] for row in rows[1:3]] == [["0.5", "", "marker"], ["1.0", "ada", "look"]]


def test_run_keeps_the_markers_of_a_session(tmp_path: Path) -> None:
    from face_perception.commands.clip_analysis import ClipTask, _keep_markers

    session, output = tmp_path / "session", tmp_path / "out.jsonl"
    (session / "bag").mkdir(parents=True)
    (session / "markers.csv").write_text("stamp,label,source\n7.5,begin,topic\n")
    _keep_markers(ClipTask(str(session), str(output), None))
    assert read_markers(output) == (Marker(7.5, "begin", "topic"),) == read_markers(session)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stamp,name\n1,begin\n", "it has no column 'label'"),
        ("stamp,label\n1,begin\n2\n", "line 3 has no label"),
        ("stamp,label\n1,yes, please\n", r"line 2 has too many values \(put quotes round a label"),
        ("stamp,label\n0:30,begin\n", "line 2: the stamp '0:30' is not a number"),
        ("stamp,label\n1,a\ninf,b\n", "line 3: the stamp 'inf' is not a number"),
    ],
)
def test_markers_that_cannot_be_used_are_refused_by_line(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.markers.csv").write_text(text)
    with pytest.raises(InputError, match=rf"a\.markers\.csv cannot .*{said}.*correct or remove it"):
        read_markers(tmp_path / "a.jsonl")


ODD = ('say "no", then\ngo', "=1+1", "'quoted", " spaces ", "<b>&amp;", "\u200bx", "9")


def test_any_label_that_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.markers.csv"
    wanted = tuple(Marker(float(number), label, "topic") for number, label in enumerate(ODD))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([MARKER_NAMES, *map(marker_cells, wanted)])
    assert read_markers(tmp_path / "a.jsonl") == wanted


def test_a_label_that_xml_cannot_hold_leaves_the_files_readable(clip: Path, tmp_path: Path) -> None:
    labels = ("a\x00b", "\x1b[1m", "\ud800", "\uffff", "line\nbreak")
    markers = tuple(Marker(BEGIN + number, label) for number, label in enumerate(labels))
    found = dataclasses.replace(read_clip(clip), markers=markers)
    write_elan(tmp_path / "a.eaf", found, ())
    values = [one.text for one in ET.parse(tmp_path / "a.eaf").iter("ANNOTATION_VALUE")]
    assert values == ["a\ufffdb", "\ufffd[1m", "\ufffd", "\ufffd", "line\nbreak"]
    write_boris(tmp_path / "a.xlsx", found, ())
    with zipfile.ZipFile(tmp_path / "a.xlsx") as parts:
        sheet = ET.fromstring(parts.read("xl/worksheets/sheet1.xml"))
    assert [text for text in sheet.itertext() if text in values] == values
