"""Conversion of sets of labelled pictures, here made in their layouts, and errors for odd files.

The pictures are the package's sample photographs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow")

from face_perception.faces import FaceTracker
from face_perception.inference import sample_photo
from face_perception.learning.data import affectnet, bp4d, dataset, expw, gaze_capture, raf_db
from face_perception.learning.data.converting import every_nth
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.types import Image


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A photograph of 300x300 pixels."""
    bgr = cv2.imread(str(sample_photo("astronaut")))[:300, 70:370]
    return np.ascontiguousarray(bgr[..., ::-1])


@pytest.fixture(scope="module")
def face(portrait: Image) -> Image:
    """A face that fills its picture of 100x100 pixels, as aligned sets have them."""
    return np.ascontiguousarray(cv2.resize(portrait[65:195, 85:215], (100, 100)))


def write(file: Path, image: Image) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), image[..., ::-1])


def raf(root: Path, portrait: Image, face: Image) -> None:
    names = ["train_00001", "train_00002", "test_0001"]
    for name in names:
        write(root / "basic" / "Image" / "aligned" / f"{name}_aligned.jpg", face)
    write(
        root / "basic/Image/aligned/train_00002_aligned.jpg", np.full((100, 100, 3), 90, np.uint8)
    )
    table = root / "basic" / "EmoLabel" / "list_patition_label.txt"
    table.parent.mkdir()
    table.write_text("train_00001.jpg 4\ntrain_00002.jpg 5\ntest_0001.jpg 1\n")


def wild(root: Path, portrait: Image, face: Image) -> None:
    pair = np.concatenate([portrait, np.full_like(portrait, 90)], 1)
    write(root / "image" / "origin" / "a.jpg", pair)
    write(root / "image" / "origin" / "b.jpg", portrait)
    (root / "label.lst").write_text("a.jpg 0 70 90 210 200 50.5 3\na.jpg 1 70 390 510 200 1.5 0\n")
    with (root / "label.lst").open("a") as file:
        file.write("b.jpg 0 70 90 210 200 60 6\n")


def affect(root: Path, portrait: Image, face: Image) -> None:
    for part, label, valence in (("train_set", "1", 0.5), ("val_set", "7", -2)):
        write(root / part / "images" / "12.jpg", face)
        folder = root / part / "annotations"
        folder.mkdir()
        np.save(folder / "12_exp.npy", np.array(label))  # published as text
        np.save(folder / "12_val.npy", np.array(valence))
        np.save(folder / "12_aro.npy", np.array("-0.25"))


def bp4d_set(root: Path, portrait: Image, face: Image) -> None:
    for person in ("F001", "M002"):
        for frame in (7, 8):
            write(root / "2D" / person / "T1" / f"{frame:04d}.jpg", portrait)
        table = root / "AUCoding" / "AU_OCC" / f"{person}_T1.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("0,1,12\n7,0,1\n8,9,0\n")


def capture(root: Path, portrait: Image, face: Image) -> None:
    for person, split in (("00002", "train"), ("00003", "val")):
        for name in ("00000.jpg", "00001.jpg"):
            write(root / person / "frames" / name, portrait)
        for name, content in {
            "info": {"Dataset": split, "DeviceName": "iPhone 6"},
            "frames": ["00000.jpg", "00001.jpg"],
            "dotInfo": {"XCam": [0.0, 4.0], "YCam": [0.0, -6.0]},
        }.items():
            (root / person / f"{name}.json").write_text(json.dumps(content))


Made = Callable[[Path, Image, Image], None]
SETS: dict[ModuleType, Made] = {
    raf_db: raf,
    expw: wild,
    affectnet: affect,
    bp4d: bp4d_set,
    gaze_capture: capture,
}
Convert = Callable[[ModuleType], tuple[dict[str, int], Dataset]]


@pytest.fixture
def convert(tmp_path: Path, tracker: FaceTracker, portrait: Image, face: Image) -> Convert:
    def converted(module: ModuleType) -> tuple[dict[str, int], Dataset]:
        SETS[module](tmp_path / "source", portrait, face)
        counts = module.convert(tmp_path / "source", tmp_path / "out", tracker=tracker)
        return counts, dataset.read(tmp_path / "out")

    return converted


def test_raf_db(convert: Convert) -> None:
    counts, data = convert(raf_db)
    assert counts == {"written": 2, "no face was found": 1}
    assert data.columns["expression"].tolist() == ["happy", "surprised"]
    assert data.columns["split"].tolist() == ["train", "test"]
    assert data.rgb(0, "file", (160, 160)).std() > 20


def test_expw_takes_the_face_in_the_box(convert: Convert) -> None:
    counts, data = convert(expw)
    assert counts == {"written": 2, "no face was found where it is annotated": 1}
    assert data.columns["expression"].tolist() == ["happy", "neutral"]
    assert data.columns["subject"].tolist() == ["a.jpg", "b.jpg"]


def test_affectnet_has_affect_without_an_expression_of_ours(convert: Convert) -> None:
    counts, data = convert(affectnet)
    assert counts == {"written": 2}
    assert data.columns["expression"].tolist() == ["happy", None]  # the other one: contempt
    np.testing.assert_array_equal(
        data.labels("valence", "arousal"), [[0.5, -0.25], [np.nan, -0.25]]
    )
    assert data.columns["split"].tolist() == ["train", "test"]


def test_a_set_that_names_no_people_has_all_splits_and_labels_in_each(tmp_path: Path) -> None:
    count = 400
    expressions = ("angry", "happy", "sad", "surprise")
    (tmp_path / "label.lst").write_text(
        "".join(
            f"{name}_man_{k}.jpg 0 1 1 9 9 50 {(0, 3, 4, 5)[e]}\n"
            for e, name in enumerate(expressions)
            for k in range(count // 4)
        )
    )
    table = tmp_path / "EmoLabel" / "list_patition_label.txt"
    table.parent.mkdir()
    table.write_text("".join(f"train_{k:05d}.jpg 4\n" for k in range(count)))
    folder = tmp_path / "train_set" / "annotations"
    folder.mkdir(parents=True)
    for k in range(count):
        for name in ("exp", "val", "aro"):
            np.save(folder / f"{k}_{name}.npy", np.array("0"))
    shares = {expw: {"validation": 0.1, "test": 0.2}, raf_db: {"validation": 0.1}}
    for module, wanted in {**shares, affectnet: {"validation": 0.05}}.items():
        for every in (1, 2):
            pictures = list(every_nth(module._pictures(tmp_path), every))
            splits = Counter(picture.split for picture in pictures)
            for split, share in wanted.items():
                assert 0.02 < splits[split] / len(pictures) < 2 * share, (module, split)
    found = {p.labels["expression"] for p in expw._pictures(tmp_path) if p.split == "test"}
    assert found == {"angry", "happy", "sad", "surprised"}


def test_bp4d_leaves_unknown_units_empty(convert: Convert) -> None:
    counts, data = convert(bp4d)
    assert counts == {"written": 4}
    np.testing.assert_array_equal(
        data.labels("frame", "au_1", "au_12")[:2], [[7, 0, 1], [8, np.nan, 0]]
    )
    assert data.columns["split"].tolist() == ["train", "train", "validation", "validation"]


def test_gaze_capture_looks_where_the_dot_is(convert: Convert) -> None:
    counts, data = convert(gaze_capture)
    assert counts == {"written": 4}
    assert data.columns["split"].tolist() == ["train", "train", "validation", "validation"]
    lens, dot = data.labels("gaze_pitch", "gaze_yaw")[:2]
    assert lens == pytest.approx([0, 0], abs=1e-6)
    # The person's right is the image's left; 6 cm below the lens is down. The head is tilted.
    distance = data.labels("distance")[0, 0]
    assert dot == pytest.approx([-0.06 / distance, -0.04 / distance], rel=0.2)
    assert np.hypot(*dot) == pytest.approx(np.hypot(0.06, 0.04) / distance, rel=0.05)


@pytest.mark.parametrize(
    ("module", "spoil", "said"),
    [
        (
            raf_db,
            lambda r: (r / "basic/EmoLabel/list_patition_label.txt").write_text("train_1.jpg 9"),
            r"label.txt:1: 9: lines such as train_00001.jpg 5",
        ),
        (
            raf_db,
            lambda r: (r / "basic/EmoLabel/list_patition_label.txt").write_text("x.jpg 1"),
            r"label.txt:1: x.jpg: lines such as",
        ),
        (
            raf_db,
            lambda r: (r / "basic/Image/aligned/test_0001_aligned.jpg").unlink(),
            r"test_0001_aligned.jpg.*label.txt:3 names it",
        ),
        (
            expw,
            lambda r: (r / "label.lst").write_text("a.jpg 0 1 2 3"),
            r"label.lst:1: '0 1 2 3'; lines such as angry_actor",
        ),
        (
            expw,
            lambda r: (r / "label.lst").write_text("../a.jpg 0 1 2 3 4 5 6"),
            r"label.lst:1: ../a.jpg: lines such as",
        ),
        (
            affectnet,
            lambda r: (r / "train_set/annotations/12_val.npy").unlink(),
            r"12_val.npy is missing: the folders train_set",
        ),
        (
            affectnet,
            lambda r: np.save(r / "train_set/annotations/12_val.npy", np.array([3.0])),
            r"12_val.npy: 3: a number from -1 to 1",
        ),
        (
            affectnet,
            lambda r: np.save(r / "train_set/annotations/12_exp.npy", np.arange(2)),
            r"12_exp.npy.*one number was expected",
        ),
        (
            bp4d,
            lambda r: (r / "AUCoding/AU_OCC/F001_T1.csv").write_text("0,1\n7,5"),
            r"F001_T1.csv:2: 7,5: a line of names",
        ),
        (
            bp4d,
            lambda r: (r / "2D/F001/T1/0008.jpg").unlink(),
            r"F001_T1.csv:3: F001/T1 has no picture of frame 8",
        ),
        (
            gaze_capture,
            lambda r: (r / "00003/dotInfo.json").write_text('{"XCam": [1], "YCam": [2]}'),
            r"dotInfo.json: .*frames.json with names",
        ),
        (
            gaze_capture,
            lambda r: (r / "00002/frames.json").write_text('["../../x.jpg", "00001.jpg"]'),
            r"frames.json: '../../x.jpg' is not a file name",
        ),
        (
            gaze_capture,
            lambda r: (r / "00002/info.json").write_text('{"Dataset": "all"}'),
            r"00002 has other content",
        ),
    ],
)
def test_what_is_missing_or_odd_is_named(
    module: ModuleType,
    spoil: Callable[[Path], object],
    said: str,
    tmp_path: Path,
    tracker: FaceTracker,
    portrait: Image,
    face: Image,
) -> None:
    SETS[module](tmp_path / "source", portrait, face)
    spoil(tmp_path / "source")
    with pytest.raises(DatasetError, match=said):
        module.convert(tmp_path / "source", tmp_path / "out", tracker=tracker)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", [raf_db, expw, affectnet, gaze_capture])
def test_a_fixed_split_takes_no_people_to_test_on(
    module: ModuleType, tmp_path: Path, tracker: FaceTracker
) -> None:
    with pytest.raises(DatasetError, match=r"split of .* is fixed: leave out --test"):
        module.convert(tmp_path, tmp_path / "out", tracker=tracker, test=["a"])
