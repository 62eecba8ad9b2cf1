"""Conversion of published data sets, here made in their layouts, and errors for odd files.

The pictures are the package's sample photographs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

scipy_io = pytest.importorskip("scipy.io")
pytest.importorskip("pyarrow")

from face_perception.cli import main
from face_perception.commands.convert import SETS
from face_perception.faces import FaceTracker, crop_face
from face_perception.gaze import make_gaze_crops
from face_perception.inference import sample_photo
from face_perception.learning.data import (
    afew_va,
    aff_wild2,
    columbia_gaze,
    dataset,
    disfa,
    mpiigaze,
)
from face_perception.learning.data.converting import ConversionJob
from face_perception.learning.data.dataset import DatasetError
from face_perception.types import Camera, Frame, Image

DOCS = Path(__file__).parents[2] / "docs"


def photograph(name: str = "astronaut") -> Image:
    bgr = cv2.imread(str(sample_photo(name)))
    return np.ascontiguousarray(bgr[..., ::-1])


def write(file: Path, image: Image) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), image[..., ::-1] if image.ndim == 3 else image)


def columbia(root: Path) -> None:
    write(root / "0001/0001_2m_0P_0V_0H.jpg", photograph())
    write(root / "0001/0001_2m_-15P_10V_-5H.jpg", photograph())
    write(root / "0002/0002_2m_0P_0V_15H.jpg", photograph("grace_hopper"))
    write(root / "0002/0002_2m_30P_-10V_0H.jpg", np.full((300, 300, 3), 90, np.uint8))


def mpii(root: Path) -> None:
    random = np.random.default_rng(0)

    def side(yaw: float) -> dict[str, object]:
        gaze = np.array(
            [[math.sin(yaw), 0.0, -math.cos(yaw)], [0.0, -math.sin(0.2), -math.cos(0.2)]]
        )
        return {"image": random.integers(0, 256, (2, 36, 60), np.uint8), "gaze": gaze}

    for person in ("p00", "p01"):
        (root / person).mkdir(parents=True)
        data = {"left": side(0.1), "right": side(0.14)}
        scipy_io.savemat(
            root / person / "day01.mat", {"data": data, "filenames": "x"}, do_compression=True
        )


def afew(root: Path) -> None:
    for clip, actor, name in (("001", "a", "astronaut"), ("002", "b", "grace_hopper")):
        image = photograph(name)
        height, width = image.shape[:2]
        at = {"astronaut": (222, 118), "grace_hopper": (262, 240)}[name]
        points = (np.array(at) + np.random.default_rng(0).uniform(-60, 60, (68, 2))).tolist()
        assert 0 < at[0] < width
        assert 0 < at[1] < height
        frames = {
            f"{k:05d}": {"landmarks": points, "valence": 5.0 - k, "arousal": -10.0}
            for k in range(2)
        }
        for frame in frames:
            write(root / clip / f"{frame}.png", image)
        content = {"video_id": clip, "actor": actor, "frames": frames}
        (root / clip / f"{clip}.json").write_text(json.dumps(content))


def disfa_set(root: Path) -> None:
    folder = root / "ActionUnit_Labels" / "SN001"
    folder.mkdir(parents=True)
    for unit in disfa.UNITS:
        levels = (0, 3 if unit == 12 else 1, 5)
        text = "".join(f"{k + 1},{level}\r\n" for k, level in enumerate(levels))
        (folder / f"SN001_au{unit}.txt").write_text(text)
    film = root / "Video_RightCamera" / "RightVideoSN001_comp.avi"
    film.parent.mkdir()
    image = cv2.resize(photograph(), (256, 256))
    out = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 20, (256, 256))
    for _ in range(3):
        out.write(np.ascontiguousarray(image[..., ::-1]))
    out.release()


def aff(root: Path) -> None:
    units, unknown = ",".join("0" * 11 + "1"), ",".join(["-1"] * 12)
    face = np.full((112, 112, 3), 120, np.uint8)
    face[40:60] = 30
    for video, part in (("one", "Train_Set"), ("two", "Validation_Set")):
        for frame in (1, 2, 4):
            write(root / "cropped_aligned" / video / f"{frame:05d}.jpg", face)
        for folder, rows in {
            "VA_Estimation_Challenge": ["valence,arousal", "0.5,-0.25", "-5,-5", "0.1,0.2", "0,0"],
            "EXPR_Recognition_Challenge": ["Neutral,Anger", "4", "7", "-1", "0"],
            "AU_Detection_Challenge": ["AU1,AU2", units, units, units, unknown],
        }.items():
            file = root / folder / part / f"{video}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(rows))


def test_columbia_gaze(tmp_path: Path, tracker: FaceTracker) -> None:
    columbia(tmp_path / "source")
    counts = columbia_gaze.convert(
        ConversionJob(tmp_path / "source", tmp_path / "out", tracker, test=["0002"])
    )
    assert counts == {"written": 3, "no face was found": 1}
    data = dataset.read(tmp_path / "out")
    assert data.columns["split"].tolist() == ["train", "train", "test"]
    assert np.degrees(data.labels("gaze_pitch", "gaze_yaw")) == pytest.approx(
        np.array([[10, -5], [0, 0], [0, 15]])
    )
    assert data.labels("eye_contact")[:, 0].tolist() == [0, 1, 0]
    image = cv2.imread(str(tmp_path / "source/0001/0001_2m_0P_0V_0H.jpg"))[..., ::-1]
    height, width = image.shape[:2]
    focal = 3.8 * width
    camera = Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    image = np.ascontiguousarray(image)
    (face,) = tracker.detect(Frame(image, 0.0, camera))
    crops = make_gaze_crops(image, camera, face)
    assert np.array_equal(data.gray(1, "left_eye", (64, 96)), crops.left_eye)


def test_mpiigaze(tmp_path: Path, tracker: FaceTracker) -> None:
    mpii(tmp_path / "source")
    counts = mpiigaze.convert(
        ConversionJob(tmp_path / "source", tmp_path / "out", tracker, test=["p01"])
    )
    assert counts == {"written": 4}
    data = dataset.read(tmp_path / "out")
    assert data.columns["split"].tolist() == ["train", "train", "test", "test"]
    # The mean of both eyes; to the image's right and up are positive.
    assert data.labels("gaze_pitch", "gaze_yaw")[:2] == pytest.approx(
        np.array([[0, 0.12], [0.2, 0]]), abs=1e-6
    )
    eye = np.zeros((36, 60), np.uint8)
    eye[18:, 30:] = 200
    large = mpiigaze.equalised_eye(eye)
    assert large.shape == (64, 96)
    assert large[60, 90] > 200 > large[5, 5]
    assert abs(int((large[60] > 127).argmax()) - 48) <= 1, "the middle stays in the middle"


def test_afew_va(tmp_path: Path, tracker: FaceTracker) -> None:
    afew(tmp_path / "source")
    counts = afew_va.convert(
        ConversionJob(tmp_path / "source", tmp_path / "out", tracker, test=["b"])
    )
    assert counts == {"written": 4}
    data = dataset.read(tmp_path / "out")
    assert data.columns["subject"].tolist() == ["a", "a", "b", "b"]
    assert data.columns["video"].tolist() == ["001", "001", "002", "002"]
    assert data.labels("frame", "valence", "arousal").tolist() == [
        [0, 0.5, -1], [1, 0.4, -1], [0, 0.5, -1], [1, 0.4, -1],
    ]  # fmt: skip
    image = photograph()
    (face,) = tracker.detect(Frame(image, 0.0, Camera.assume(*image.shape[1::-1])))
    assert np.array_equal(data.rgb(0, "file", (160, 160)), crop_face(image, face).image)


def test_disfa(tmp_path: Path, tracker: FaceTracker) -> None:
    disfa_set(tmp_path / "source")
    counts = disfa.convert(ConversionJob(tmp_path / "source", tmp_path / "out", tracker, every=2))
    assert counts == {"written": 2}
    data = dataset.read(tmp_path / "out")
    assert data.labels("frame", "au_12", "au_1")[:, :].tolist() == [[1, 0, 0], [3, 1, 1]]
    assert data.columns["intensity_12"].tolist() == [0, 5]
    assert data.rgb(0, "file", (160, 160)).std() > 20


def test_aff_wild2(tmp_path: Path, tracker: FaceTracker) -> None:
    aff(tmp_path / "source")
    counts = aff_wild2.convert(ConversionJob(tmp_path / "source", tmp_path / "out", tracker))
    assert counts == {"written": 6, "no face was cropped in the published set": 2}
    data = dataset.read(tmp_path / "out")
    one = data.take(data.columns["video"] == "one")
    assert set(one.columns["split"]) == {"train"}
    assert set(data.take(data.columns["video"] == "two").columns["split"]) == {"test"}
    assert one.columns["expression"].tolist() == ["happy", None, "neutral"]
    np.testing.assert_array_equal(
        one.labels("frame", "valence", "arousal", "au_26", "au_1"),
        [[1, 0.5, -0.25, 1, 0], [2, np.nan, np.nan, 1, 0], [4, 0, 0, np.nan, np.nan]],
    )
    crop = one.rgb(0, "file", (160, 160))
    face = cv2.imread(str(tmp_path / "source/cropped_aligned/one/00001.jpg"))[..., ::-1]
    assert np.array_equal(crop[24:-24, 24:-24], face)
    with pytest.raises(DatasetError, match="the split of Aff-Wild2 is fixed"):
        aff_wild2.convert(
            ConversionJob(tmp_path / "source", tmp_path / "other", tracker, test=["one"])
        )


Spoil = Callable[[Path], object]


def _mat(**content: object) -> Spoil:
    return lambda root: scipy_io.savemat(root / "p00/day01.mat", content)


def _afew(**content: object) -> Spoil:
    def spoil(root: Path) -> None:
        file = root / "001/001.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **content}))

    return spoil


def _damage_second_frame(root: Path) -> None:
    """A frame that is left out would move the labels of those after it."""
    film = root / "Video_RightCamera" / "RightVideoSN001_comp.avi"
    data = bytearray(film.read_bytes())
    first = data.index(b"\xff\xd8\xff")
    second = data.index(b"\xff\xd8\xff", first + 3)
    data[second + 2 : second + 200] = bytes(198)
    film.write_bytes(data)


@pytest.mark.parametrize(
    ("module", "made", "spoil", "said"),
    [
        (columbia_gaze, columbia, lambda r: (r / "0001").rename(r / "one"), None),
        (
            columbia_gaze,
            columbia,
            lambda r: write(r / "0001/0002_2m_0P_0V_0H.jpg", photograph()),
            r"0002_2m_0P_0V_0H.jpg has another name: pictures such as 0001_2m_-15P",
        ),
        (
            columbia_gaze,
            columbia,
            lambda r: [file.unlink() for file in (r / "0002").iterdir()],
            r"0002 has no pictures: pictures such as",
        ),
        (mpiigaze, mpii, lambda r: (r / "p00/day01.mat").unlink(), r"p00 has no day01.mat"),
        (
            mpiigaze,
            mpii,
            lambda r: (r / "p00/day01.mat").write_text("no"),
            r"day01.mat cannot be read: .*the structure data with left and right",
        ),
        (mpiigaze, mpii, _mat(data=1.0), r"day01.mat lacks image or gaze of data.left"),
        (
            mpiigaze,
            mpii,
            _mat(data={"left": {"image": np.zeros((2, 9, 9)), "gaze": np.eye(2, 3)}}),
            r"data.left has image \[2, 9, 9\] and gaze \[2, 3\]",
        ),
        (
            mpiigaze,
            mpii,
            _mat(data={"left": {"image": np.zeros((2, 36, 60)), "gaze": 9 * np.eye(2, 3)}}),
            r"data.left.gaze has other lengths than 1",
        ),
        (afew_va, afew, lambda r: (r / "001/001.json").unlink(), r"001.json is missing: folders"),
        (afew_va, afew, _afew(actor=1), r"001.json has other content: a text actor"),
        (
            afew_va,
            afew,
            _afew(frames={"00000": {"landmarks": [[1, 2]], "valence": 1, "arousal": 1}}),
            r"frame 00000 has landmarks \[1, 2\]",
        ),
        (
            afew_va,
            afew,
            _afew(frames={"00000": {"landmarks": [[1, 2]] * 68, "valence": 11, "arousal": 1}}),
            r"frame 00000 has valence 11 and arousal 1",
        ),
        (afew_va, afew, lambda r: (r / "001/00001.png").unlink(), r"00001.png.*names it"),
        (
            disfa,
            disfa_set,
            lambda r: (r / "ActionUnit_Labels/SN001/SN001_au5.txt").unlink(),
            r"SN001_au5.txt is missing: lines such as 1,0",
        ),
        (
            disfa,
            disfa_set,
            lambda r: (r / "ActionUnit_Labels/SN001/SN001_au5.txt").write_text("1,0\n2,7"),
            r"SN001_au5.txt:2: 2,7: lines such as",
        ),
        (
            disfa,
            disfa_set,
            lambda r: (r / "ActionUnit_Labels/SN001/SN001_au5.txt").write_text("1,0"),
            r"frame 2 has labels of 11 units: 12 were expected",
        ),
        (
            disfa,
            disfa_set,
            lambda r: (r / "Video_RightCamera/RightVideoSN001_comp.avi").unlink(),
            r"has no film of SN001: Video_RightCamera/RightVideoSN001_comp.avi was expected",
        ),
        (disfa, disfa_set, _damage_second_frame, r"comp.avi is damaged: 1 damaged frame"),
        (
            aff_wild2,
            aff,
            lambda r: (r / "VA_Estimation_Challenge/Train_Set/one.txt").write_text("v,a\n0,2"),
            r"one.txt:2: \[0.0, 2.0\]: a line of names and lines of valence,arousal",
        ),
        (
            aff_wild2,
            aff,
            lambda r: (r / "EXPR_Recognition_Challenge/Train_Set/one.txt").write_text("x\nsad"),
            r"one.txt:2: could not convert string to float: 'sad'; a line of names",
        ),
        (
            aff_wild2,
            aff,
            lambda r: (r / "cropped_aligned/one").rename(r / "cropped_aligned/three"),
            r"cropped_aligned/one is missing, but one.txt has labels",
        ),
        (
            aff_wild2,
            aff,
            lambda r: write(r / "cropped_aligned/one/00001.jpg", photograph()),
            r"00001.jpg is 512x512: an aligned face of 112x112 was expected",
        ),
    ],
)
def test_what_is_missing_or_odd_is_named(
    module: ModuleType,
    made: Callable[[Path], None],
    spoil: Spoil,
    said: str | None,
    tmp_path: Path,
    tracker: FaceTracker,
) -> None:
    made(tmp_path / "source")
    spoil(tmp_path / "source")
    if said is None:  # folders that are not persons are not looked at
        assert module.convert(ConversionJob(tmp_path / "source", tmp_path / "out", tracker))[
            "written"
        ]
        return
    with pytest.raises(DatasetError, match=said):
        module.convert(ConversionJob(tmp_path / "source", tmp_path / "out", tracker))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", SETS)
def test_an_empty_folder_is_named_with_what_was_expected(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", name, str(tmp_path), str(tmp_path / "out")]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert f"`{name}`" in (DOCS / "data_sets.md").read_text()
