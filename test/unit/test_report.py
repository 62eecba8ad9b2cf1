"""Tests the web page of ``face-perception report`` on scripted sessions."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from synthetic_session import Script, lines, write

from face_perception import cli
from face_perception.errors import InputError, MissingDependencyError
from face_perception.report import figures, gaze_angles
from face_perception.report import page as pages
from face_perception.results import find_events, read_clip, read_clips

LEFT, RIGHT = (-0.5, 0.0, 1.5), (0.5, 0.05, 1.5)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    ada = Script(
        "face_1",
        LEFT,
        looks=[(0, 6, "robot"), (6, 9, "face_2")],
        shut=[(2, 2.2)],
        smiles=[(3, 5)],
        hidden=[(10, 12)],
        person_id="<ada>",
        calibrated=True,
    )
    bob = Script("face_2", RIGHT, looks=[(5, 11, "face_1")], unseen_eyes=[(12, 14)])
    return write(folder / "talk.jsonl", lines([ada, bob], 15.0))


class _Page(HTMLParser):
    """Collects the text, the tags and the addresses of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.labels: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action"):
                self.addresses.append(str(value))
            if name == "aria-label":
                self.labels.append(str(value))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(session: Path) -> _Page:
    pytest.importorskip("matplotlib")
    output = session.with_name("report.html")
    assert cli.main(["report", str(session), "-o", str(output), "--title", "A & B"]) == 0
    return _Page(output.read_text())


def test_the_page_loads_nothing(page: _Page) -> None:
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(address.startswith(("#", "data:")) for address in page.addresses)


def test_every_figure_has_a_description_and_a_caption(page: _Page) -> None:
    assert page.tags.count("svg") == page.tags.count("figure") == page.tags.count("figcaption")
    assert len(page.labels) >= page.tags.count("svg") >= 10
    assert "Timeline: what <ada>, face_2 looked at" in page.labels
    assert "blinks per minute" in page.text, "text in figures is text"


def test_the_page_says_what_to_beware_of(page: _Page) -> None:
    assert "The camera is not calibrated" in page.text
    assert "The gaze is not calibrated for this person" in page.text  # Bob
    assert "The gaze is calibrated for this person." in page.text  # Ada
    assert "Valence and arousal are unknown." in page.text
    assert "nan" not in page.text.lower().split()


def test_the_numbers_are_those_of_the_script(page: _Page) -> None:
    (row,) = re.findall(r"<ada> 1 (\S+) (\S+) (\S+)% ", page.text)
    # Of the 13 s in view.
    assert [float(value) for value in row] == pytest.approx([6.0, 6.0, 46], abs=1.0)


def test_a_report_of_tables_is_the_same(session: Path, page: _Page, tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        if suffix == "parquet":
            pytest.importorskip("pyarrow")
        table = tmp_path / f"faces.{suffix}"
        output = tmp_path / "report.html"
        assert cli.main(["table", str(session), "--output", str(table)]) == 0
        assert cli.main(["report", str(table), "-o", str(output), "--title", "A & B"]) == 0
        assert output.read_text() == session.with_name("report.html").read_text()


def test_clips_are_the_same_from_tables(session: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", lines([], 1.0))
    study = tmp_path / "study"
    assert cli.main(["table", str(session), str(empty), "--output", str(study)]) == 0
    found = read_clips(study)
    assert found == [read_clip(session), read_clip(empty)]
    assert find_events(found[0]) == find_events(read_clip(session))


def test_figures_show_the_persons_who_were_seen_longest(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(pages, "_MOST_PERSONS", 1)
    assert cli.main(["report", str(session), "-o", str(tmp_path / "r.html")]) == 0
    found = _Page((tmp_path / "r.html").read_text())
    assert "Figures show who was seen longest: 1 of 2 persons." in found.text
    # Bob is in view for 15 s, Ada for 13.
    assert "Timeline: what face_2 looked at" in found.labels
    assert not any(label.startswith("Gaze of <ada>") for label in found.labels)
    assert "<ada>" in found.text, "the tables have all"


def test_tables_that_other_programs_saved(session: Path, tmp_path: Path) -> None:
    """pandas writes True for TRUE; a spreadsheet may save the text in Latin-1."""
    table = tmp_path / "talk.csv"
    assert cli.main(["table", str(session), "--output", str(table)]) == 0
    text = table.read_text()
    table.write_text(text.replace("TRUE", "True").replace("FALSE", "False"))
    assert read_clips(table) == [read_clip(session)]
    table.write_text(text.replace("TRUE", "yes"))
    with pytest.raises(InputError, match=r"talk\.csv, row 1 .*'yes' is neither TRUE nor FALSE"):
        read_clips(table)
    table.write_bytes(text.replace("<ada>", "Zo\u00eb").encode("latin-1"))
    with pytest.raises(InputError, match=r"talk\.csv cannot be read: it is not UTF-8"):
        read_clips(table)


def test_ids_with_signs_of_mathematics_are_text(tmp_path: Path) -> None:
    """Matplotlib would read what is between two dollars as a formula."""
    pytest.importorskip("matplotlib")
    ada = Script("face_1", looks=[(0, 8, "robot")], person_id=r"$\a & b$")
    path = write(tmp_path / "clip.jsonl", lines([ada], 12.0, 10.0))
    assert cli.main(["report", str(path), "-o", str(tmp_path / "r.html")]) == 0
    page = _Page((tmp_path / "r.html").read_text())
    assert r"$\a & b$" in [word.strip() for word in page.words if word.strip() != ""]
    assert "looks at robot (n = " in page.text


def test_a_blink_at_the_end_of_a_clip_is_no_high_rate(tmp_path: Path) -> None:
    """A clip of 20.2 s is one window, not one of 20 s and one of 0.2 s."""
    pytest.importorskip("matplotlib")
    from face_perception.report import figures

    ada = Script("ada", shut=[(5.0, 5.2), (20.05, 20.15)])
    clip = read_clip(write(tmp_path / "clip.jsonl", lines([ada], 20.2)))
    drawn = figures.blink_rates(clip, "ada", clip.persons["ada"], find_events(clip))
    ticks = [float(text) for text in re.findall(r">(\d+)</text>", drawn)]
    assert len(ticks) > 3
    assert max(ticks) < 25


def test_a_clock_that_was_set_back_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = lines([Script("ada", looks=[(0, 9, "robot")], shut=[(4, 4.2)])], 10.0)
    for line in found[150:]:
        line["stamp"] -= 100.0
    path = write(tmp_path / "bag.jsonl", found)
    assert cli.main(["report", str(path), "-o", str(tmp_path / "r.html")]) == 0
    assert "a clock was set back" in _Page((tmp_path / "r.html").read_text()).text


def test_clips_without_faces_and_pictures_have_a_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    empty = write(tmp_path / "empty.jsonl", lines([], 1.0))
    still = write(tmp_path / "still.jsonl", lines([Script("ada")], 0.03))
    output = tmp_path / "r.html"
    assert cli.main(["report", str(empty), str(still), "-o", str(output)]) == 0
    text = _Page(output.read_text()).text
    assert "No face was found." in text
    assert "one picture" in text


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n"
HEAD = b"clip,frame,stamp,face_id\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b"", "a.jsonl has no line of results, because the analysis was not finished"),
        ("a.jsonl", b"\n\n", "has no line of results, because the analysis was not finished"),
        ("a.jsonl", POINTER, "a Git LFS pointer and not the file itself .run `git lfs pull`.$"),
        (
            "a.mp4",
            b"\0\0\0\x20ftypisom",
            "a film or other data, not results: analyse it first",
        ),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "face-perception annotate FILE --output FOLDER`$"),
        ("frames.csv", b"", "frames.csv cannot be read: it is empty: give a table of frames"),
        ("frames.csv", POINTER, "a Git LFS pointer and not the file itself .run `git lfs pull`.$"),
        ("frames.csv", HEAD, "frames.csv has no rows: make it again with `face-perception table`"),
        ("frames.parquet", b"", "frames.parquet cannot be read: it is empty"),
    ],
)
def test_what_has_no_results_is_refused(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_clips(tmp_path / name)


def test_gaze_angles_are_relative_to_the_camera(session: Path) -> None:
    clip = read_clip(session)
    (look,) = (e for e in find_events(clip) if e.target == "robot" and e.person == "<ada>")
    during = [s for s in clip.persons["<ada>"] if look.onset <= s.start < look.offset]
    ellipse = gaze_angles.ellipse_of(gaze_angles.camera_offsets(during))
    assert ellipse is not None
    np.testing.assert_allclose(ellipse.centre, 0, atol=0.1)
    assert gaze_angles.ellipse_of(np.zeros((3, 2))) is None


@pytest.mark.parametrize("rate", [5.0, 25.0, 29.97, 30.0])
def test_a_raster_has_gaps_only_where_there_was_no_face(rate: float) -> None:
    """Stamps are rounded, and need not be evenly spaced."""
    stamps = np.round(np.arange(3000) / rate, 4)
    uneven = stamps + np.where(np.arange(3000) % 3 == 1, 0.4 / rate, 0.0)
    for starts in (stamps[:240], stamps, uneven):
        spans = np.stack([starts[:-1], starts[1:]], axis=1)
        length = spans[-1, 1]
        values = np.linspace(0, 1, len(spans))[:, None]
        assert np.isfinite(figures.raster(spans, values, length)).all()
        seen = (spans[:, 0] < 0.3 * length) | (spans[:, 0] > 0.5 * length)
        gaps = ~np.isfinite(figures.raster(spans[seen], values[seen], length).ravel())
        place = (np.flatnonzero(gaps) + 0.5) / len(gaps)
        assert gaps.mean() == pytest.approx(0.2, abs=0.02)
        assert place.min() > 0.29
        assert place.max() < 0.51


def test_the_axes_of_an_ellipse_are_standard_deviations() -> None:
    random = np.random.default_rng(0)
    offsets = random.normal(0, (4.0, 1.0), (20000, 2)) + (3, -2)
    ellipse = gaze_angles.ellipse_of(offsets)
    assert ellipse is not None
    np.testing.assert_allclose(ellipse.centre, (3, -2), atol=0.1)
    np.testing.assert_allclose(ellipse.axes, (4, 1), rtol=0.02)
    assert abs(np.sin(np.radians(ellipse.rotation))) < 0.02


def test_matplotlib_is_named_if_it_is_missing(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_perception.report import report_page
    from face_perception.results import summarise_persons

    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    clip = read_clip(session)
    events = find_events(clip)
    with pytest.raises(MissingDependencyError, match="matplotlib: pip install matplotlib"):
        report_page([(clip, events, summarise_persons(clip, events))], "")
    assert cli.main(["report", str(session), "-o", str(tmp_path / "page.pdf")]) == 1
