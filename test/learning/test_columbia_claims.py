"""Tests `claims --columbia` on a few generated bands in the layout of the public collection."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from calls_in_this_process import finished_here

from face_perception.avatar import FaceState, PortraitRenderer
from face_perception.cli import main
from face_perception.errors import InputError
from face_perception.faces import load_tracker
from face_perception.inference import sample_photo
from face_perception.learning.claims import columbia, columbia_bands, table
from face_perception.learning.claims.columbia_bands import Bands, read_bands
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.processes import ProcessesKilled

HEADS, UPS, SIDES = (-15, 0), (0, 10), (-10, 0)
PEOPLE = 3
EYES, BAND = np.array([170, 155]), (183, 86)  # top left corner and size of the band, pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bands of the astronaut's eyes, turned by the talking face; each person's is cut elsewhere."""
    folder: Path = tmp_path_factory.mktemp("columbia")
    portrait = PortraitRenderer.from_file(sample_photo("astronaut"), tracker=load_tracker())
    for up in UPS:
        for side in SIDES:
            state = FaceState(gaze_yaw=math.radians(side), gaze_pitch=math.radians(up))
            face = cv2.cvtColor(portrait.render(state), cv2.COLOR_RGB2GRAY)
            direction = folder / ("center" if up == side == 0 else "other")
            direction.mkdir(exist_ok=True)
            for person in range(1, PEOPLE + 1):
                x, y = EYES - (4 * person, 2 * person)
                band = face[y : y + BAND[1], x : x + BAND[0]] // 4 * (5 - person)
                band = cv2.resize(band, (300, 300 * BAND[1] // BAND[0]))
                for head in HEADS:
                    name = f"{person:04d}_2m_{head}P_{up}V_{side}H.jpg"
                    cv2.imwrite(str(direction / name), band)
    return folder


@pytest.fixture(scope="module")
def bands(folder: Path) -> Bands:
    return read_bands(folder)


def test_names_are_read_and_eyes_are_found(bands: Bands) -> None:
    assert len(bands.faces) == PEOPLE * len(HEADS) * len(UPS) * len(SIDES)
    assert bands.names == ("0001", "0002", "0003")
    assert bands.contact.sum() == PEOPLE * len(HEADS)
    assert bands.targets.tolist() == [[0, -10], [0, 0], [10, -10], [10, 0]]
    eyes = np.stack([bands.faces.left_eye, bands.faces.right_eye]).astype(float)
    for look in np.unique(bands.target):
        first, *others = (
            eyes[:, (bands.target == look) & (bands.faces.person == p)][:, 0] for p in range(PEOPLE)
        )
        for other in others:  # the place of the cut and the light are gone
            near = np.abs(first - other).mean()
            assert near < 0.6 * np.abs(first - np.roll(other, 8, 2)).mean()
    # Dark irises are where the names say: further left for a gaze to the left. Pictures with the
    # same other labels are in the same order.
    side = bands.targets[bands.target][:, 1]
    columns = (255 - eyes[:, :, 20:44]).mean(2) ** 3 @ np.arange(96)
    columns /= ((255 - eyes[:, :, 20:44]).mean(2) ** 3).sum(-1)
    assert (columns[:, side == -10] - columns[:, side == 0]).mean() < -0.4


def test_eyes_are_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_bands(folder, keep=tmp_path)
    monkeypatch.setattr(columbia_bands, "_eyes_of", None)
    again = read_bands(folder, keep=tmp_path)
    np.testing.assert_array_equal(again.faces.left_eye, first.faces.left_eye)
    assert again.digest == first.digest


def test_pictures_without_a_face_are_left_out(
    folder: Path, bands: Bands, monkeypatch: pytest.MonkeyPatch
) -> None:
    eyes = list(zip(bands.faces.left_eye, bands.faces.right_eye, strict=True))
    monkeypatch.setattr(columbia_bands, "_eyes_of", lambda files: [None, *eyes[1:]])
    said: list[str] = []
    found = read_bands(folder, report=said.append)
    np.testing.assert_array_equal(found.faces.right_eye, bands.faces.right_eye[1:])
    np.testing.assert_array_equal(found.target, bands.target[1:])
    assert said[-1] == "columbia: no face was found in 1 of 24 pictures"
    monkeypatch.setattr(columbia_bands, "_eyes_of", lambda files: [None] * len(files))
    with pytest.raises(DatasetError, match="no face was found with the eyes"):
        read_bands(folder)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "has no pictures: expected"),
        ("center/0001.jpg", "0001.jpg has another name"),
        ("0001_2m_0P_0V_0H.jpg", "is in no folder of a direction.*printed into them"),
        ("benchmark/0001_2m_0P_0V_0H.jpg", "is in no folder of a direction.*printed into them"),
        ("center/0001_2m_0P_0V_0H.jpg", "40x90 pixels: a band of both eyes is wider than high"),
    ],
)
def test_other_folders_are_refused(name: str, fault: str, tmp_path: Path) -> None:
    if name:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "other").mkdir()
        for file in (name, "other/0001_2m_0P_0V_5H.jpg"):
            cv2.imwrite(str(tmp_path / file), np.zeros((90, 40), np.uint8))
    with pytest.raises(DatasetError, match=fault):
        read_bands(tmp_path)


def test_a_picture_that_comes_twice_is_refused(tmp_path: Path) -> None:
    for direction in ("center", "up"):
        (tmp_path / direction).mkdir()
        file = tmp_path / direction / "0001_2m_0P_0V_0H.jpg"
        cv2.imwrite(str(file), np.zeros((140, 300), np.uint8))
    with pytest.raises(DatasetError, match="is there twice"):
        read_bands(tmp_path)


def test_every_person_needs_every_target(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for head in HEADS:
        (tmp_path / "other" / f"0002_2m_{head}P_10V_-10H.jpg").unlink()
    with pytest.raises(DatasetError, match="such as 10V_-10H of person 0002"):
        read_bands(tmp_path)
    shutil.rmtree(tmp_path / "center")
    with pytest.raises(DatasetError, match="needs pictures of looks into the lens"):
        read_bands(tmp_path)


def test_figures_of_answers_with_a_known_fault(bands: Bands) -> None:
    """Answers that are off by a constant of each person are set right by any target."""
    random = np.random.default_rng(1)
    gaze, person = bands.faces.gaze, bands.faces.person
    bias = np.radians([[4.0, 0.0], [0.0, -4.0], [-4.0, 0.0]])
    scatter = random.normal(0, math.radians(0.5), gaze.shape)
    right = bands.contact[:, None] * 0.8
    answers = {
        columbia.PLAIN: gaze + bias[person] + scatter,
        columbia.POOLED: gaze + 2 * bias[person],
        columbia.DECOMPOSED: gaze + bias[person],
        columbia.CONTACT: right,
        columbia.CONTACT_POOLED: 0 * right,
    }
    rows, seen = columbia.rows_and_figures(bands, answers)
    means = [np.mean(row.values) for row in rows]
    assert all(len(row.values) == PEOPLE for row in rows)
    assert means[0] == pytest.approx(50)
    assert means[1] == pytest.approx(50, abs=6)
    assert rows[2].verdict == "holds"
    assert means[2] > 1000
    assert means[4] == pytest.approx(100, abs=3)
    assert means[5] == pytest.approx(100, abs=3)
    squares = next(v for k, v in seen.items() if k.startswith("squared bias"))
    assert squares == pytest.approx(np.full(PEOPLE, 16.0), abs=3)


def test_networks_that_learned_nothing_test_no_claim(bands: Bands) -> None:
    constant = np.tile(bands.faces.gaze.mean(0), (len(bands.faces), 1))
    gaze = dict.fromkeys((columbia.PLAIN, columbia.POOLED, columbia.DECOMPOSED), constant)
    contact = dict.fromkeys(
        (columbia.CONTACT, columbia.CONTACT_POOLED), np.zeros((len(bands.faces), 1))
    )
    rows, _ = columbia.rows_and_figures(bands, {**gaze, **contact})
    assert {row.verdict for row in rows} == {"not tested"}


def test_people_of_a_fold_are_not_trained_on(bands: Bands) -> None:
    folds = columbia.folds_of(PEOPLE, 2)
    assert sorted(np.concatenate(folds).tolist()) == list(range(PEOPLE))
    training = ~np.isin(bands.faces.person, folds[0])
    for rows in (
        columbia._gaze_rows(bands, training, 5, 0),
        columbia._contact_rows(bands, training, 0),
    ):
        assert not set(bands.faces.person[rows].tolist()) & set(folds[0].tolist())
    contact = bands.contact[columbia._contact_rows(bands, training, 0)]
    assert contact.mean() == 0.5, "as many looks into the lens as others"


def test_the_command_writes_a_section_and_keeps_the_page(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = dataclasses.replace(
        columbia.SIZES["quick"], folds=3, tested=2, images=8, epochs=1, contact_epochs=1, width=0.05
    )
    monkeypatch.setitem(columbia.SIZES, "quick", tiny)
    out, work = tmp_path / "claims.md", tmp_path / "work"
    out.write_text(f"# Page\n\n{table.COLUMBIA}\n\nof an earlier run\n\n## Later\n\nstays\n")
    left = work / "gaze"  # of another run, which was interrupted
    said = ["claims", "--columbia", str(folder), "--size", "quick"]
    train = columbia._answers

    def answers(*arguments: Any) -> Any:
        left.mkdir()
        return train(*arguments)

    monkeypatch.setattr(columbia, "_answers", answers)
    monkeypatch.setattr(columbia, "finished_calls", finished_here)
    assert main([*said, "--out", str(out), "--work", str(work)]) == 0
    page = out.read_text()
    assert page.startswith("# Page\n")
    assert "of an earlier run" not in page
    assert "stays" in page
    assert page.count(table.COLUMBIA) == 1
    assert len(re.findall(r"\| (?:holds|does not hold|not shown|not tested) \|", page)) == 6
    assert "| people to show it |" in page
    assert "In short, the verdicts of 6 comparisons: " in page
    assert "10 of 10 networks" in capsys.readouterr().err
    assert "3 people in 3 folds. 2 people are tested on, in 16 pictures" in page
    assert sorted(file.name for file in work.iterdir()) == ["gaze", "source"]
    assert main([*said[:-1], "huge", "--out", str(out), "--work", str(work)]) != 0
    assert "huge is not a size: use one of quick, reduced, full" in capsys.readouterr().err


def test_finished_networks_are_not_trained_again(bands: Bands, tmp_path: Path) -> None:
    size = columbia.Size(2, 2, 4, 1, 1, 0.05, 0)
    people = np.array([0])
    first = columbia._fold(bands, size, 0, people, columbia.PLAIN, tmp_path)
    checkpoint = tmp_path / "0_dilated" / "last.ckpt"
    checkpoint.unlink()
    again = columbia._fold(bands, size, 0, people, columbia.PLAIN, tmp_path)
    assert not checkpoint.exists()
    assert again[1] == first[1]
    with pytest.raises(InputError, match=r"last\.ckpt"):  # of the network that it starts from
        columbia._fold(bands, size, 0, people, columbia.CONTACT, tmp_path)
    np.testing.assert_array_equal(again[0], first[0])


@pytest.mark.parametrize(
    ("values", "count"), [((1.0, 1.2, 0.8), 3), ((1.0, -2.0, 4.0), 73), ((0.0, 0.0), math.inf)]
)
def test_power_says_how_many_values_show_a_claim(values: tuple[float, ...], count: float) -> None:
    assert table.values_to_show(values) == count


@pytest.mark.parametrize(
    ("count", "students_t"), [(10, 2.26216), (11, 2.22814), (14, 2.16037), (56, 2.00404)]
)
def test_intervals_over_many_values_use_students_t(count: int, students_t: float) -> None:
    values = [float(v) for v in range(count)]
    mean, half = table.interval(values)
    assert mean == (count - 1) / 2
    half /= np.std(values, ddof=1) / math.sqrt(count)
    assert half == pytest.approx(students_t, abs=1e-3)


def test_a_killed_process_is_named(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answers(*_: Any) -> Any:
        raise ProcessesKilled({0: "SIGKILL"})

    monkeypatch.setattr(columbia, "_answers", answers)
    said = ["claims", "--columbia", str(folder), "--size", "quick", "--work", str(tmp_path / "w")]
    assert main([*said, "--out", str(tmp_path / "claims.md")]) != 0
    assert "a process was killed 3 times (SIGKILL)" in capsys.readouterr().err
    assert (tmp_path / "w" / "source").exists(), "the next run continues"
