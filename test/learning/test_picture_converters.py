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

h5py = pytest.importorskip("h5py")
pytest.importorskip("pyarrow")

from face_perception import geometry
from face_perception.faces import FaceTracker
from face_perception.inference import sample_photo
from face_perception.learning.data import (
    affectnet,
    bp4d,
    dataset,
    eth_xgaze,
    expw,
    eyediap,
    gaze_capture,
    omg_emotion,
    raf_db,
)
from face_perception.learning.data.converting import ConversionJob, every_nth
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


def film(path: Path, image: Image, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = image.shape[:2]
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (width, height))
    for _ in range(frames):
        out.write(image[..., ::-1])
    out.release()


def xgaze(root: Path, portrait: Image, face: Image) -> None:
    (root / "train").mkdir(parents=True)
    patch = cv2.resize(portrait, (224, 224))[..., ::-1]
    nobody = np.full_like(patch, 90)
    for person, pictures in (("subject0000", [patch, patch]), ("subject0003", [patch, nobody])):
        with h5py.File(root / "train" / f"{person}.h5", "w") as file:
            file["face_patch"] = np.stack(pictures)
            file["face_gaze"] = np.array([[0.1, 0.2], [0.0, 0.0]], np.float32)


EYES = ((0.03, 0.0, 0.8), (-0.03, 0.0, 0.8))  # metres, optical frame: left and right of the person
# The camera of a session is turned and moved in the common frame.
TURN, PLACE = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([0.1, -0.2, 0.05])


def eyediap_set(root: Path, portrait: Image, face: Image) -> None:
    def common(*points: tuple[float, float, float]) -> str:
        return ";".join(f"{v:.6f}" for point in points for v in TURN @ np.array(point) + PLACE)

    for session, target in (("1_A_CS_S", (0.0, 0.3, 0.0)), ("14_B_FT_M", (-0.2, 0.0, 0.3))):
        folder = root / "Data" / session
        film(folder / "rgb_vga.avi", portrait, 4)
        (folder / "rgb_vga.avi").rename(folder / "rgb_vga.mov")
        matrix = "500;0;149.5\n0;500;149.5\n0;0;1"
        turn = "\n".join(";".join(f"{v:g}" for v in row) for row in TURN)
        (folder / "rgb_vga_calibration.txt").write_text(
            f"[resolution]\n300;300\n[intrinsics]\n{matrix}\n[R]\n{turn}\n"
            "[T]\n" + "\n".join(f"{v:g}" for v in PLACE) + "\n"
        )
        eyes = ";".join(["1.0"] * 12) + ";" + common(*EYES)
        # Nothing was tracked in the third frame.
        (folder / "eye_tracking.txt").write_text(f"Frame;...\n0;{eyes}\n1;{eyes}\n2;\n3;{eyes}\n")
        flat = ";".join(["5.0"] * (6 if "FT" in session else 2))
        name = "ball_tracking.txt" if "FT" in session else "screen_coordinates.txt"
        (folder / name).write_text(
            "Frame;...\n" + "".join(f"{k};{flat};{common(target)}\n" for k in range(4))
        )
    (root / "Data" / "1 copy_A_CS_S").mkdir()  # not a session
    state = root / "Annotations" / "1_A_CS_S" / "gaze_state.txt"
    state.parent.mkdir(parents=True)
    state.write_text("0\tOK\n1\tBLINK\n2\tOK\n3\tOK\n")


def omg(root: Path, portrait: Image, face: Image) -> None:
    film(root / "videos" / "abc" / "utterance_1.avi", portrait, 3)
    (root / "videos/abc/utterance_1.avi").rename(root / "videos/abc/utterance_1.mp4")
    names = "link,start,end,video,utterance,arousal,valence,EmotionMaxVote\n"
    (root / "omg_TrainVideos.csv").write_text(
        f"{names}http://a,0,1,abc,utterance_1.mp4,0.75,-0.5,3\n"
        "http://b,0,1,gone,utterance_2.mp4,0.1,0.5,0\n"
    )
    (root / "omg_ValidationVideos.csv").write_text(names)


Made = Callable[[Path, Image, Image], None]
SETS: dict[ModuleType, Made] = {
    raf_db: raf,
    expw: wild,
    affectnet: affect,
    bp4d: bp4d_set,
    gaze_capture: capture,
    eth_xgaze: xgaze,
    eyediap: eyediap_set,
    omg_emotion: omg,
}
Convert = Callable[[ModuleType], tuple[dict[str, int], Dataset]]


@pytest.fixture
def convert(tmp_path: Path, tracker: FaceTracker, portrait: Image, face: Image) -> Convert:
    def converted(module: ModuleType) -> tuple[dict[str, int], Dataset]:
        SETS[module](tmp_path / "source", portrait, face)
        counts = module.convert(ConversionJob(tmp_path / "source", tmp_path / "out", tracker))
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


def test_eth_xgaze_keeps_the_direction(convert: Convert) -> None:
    counts, data = convert(eth_xgaze)
    assert counts == {"written": 3, "no face was found": 1}
    assert data.columns["split"].tolist() == ["train", "train", "validation"]
    gaze, lens = data.labels("gaze_pitch", "gaze_yaw")[:2]
    # The published yaw is to the left of the picture, ours to the right.
    assert gaze - lens == pytest.approx([0.1, -0.2], abs=0.05)
    found = [geometry.from_yaw_pitch(yaw, pitch) for pitch, yaw in (gaze, lens)]
    assert np.dot(*found) == pytest.approx(np.cos(0.1) * np.cos(0.2), abs=1e-5)


def test_eyediap_looks_from_the_eyes_to_the_target(convert: Convert) -> None:
    counts, data = convert(eyediap)
    # Of each session, the frame without eyes; of the first one, also that of a blink.
    assert counts == {"written": 5, "it has no labels": 3}
    assert data.columns["subject"].tolist() == ["1"] * 2 + ["14"] * 3
    assert data.columns["video"].tolist() == ["1_A_CS_S"] * 2 + ["14_B_FT_M"] * 3
    assert data.labels("distance")[:, 0] == pytest.approx([0.8] * 5, abs=1e-5)
    assert data.labels("frame")[:, 0].tolist() == [0, 3, 0, 1, 3]
    screen, ball = data.labels("gaze_pitch", "gaze_yaw")[[0, 2]]
    # The normalized camera faces the face in the picture: only the angle between both is known.
    lines = np.array([[0.0, 0.3, -0.8], [-0.2, 0.0, -0.5]])
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    found = [geometry.from_yaw_pitch(yaw, pitch) for pitch, yaw in (screen, ball)]
    assert np.dot(*found) == pytest.approx(np.dot(*lines), abs=1e-5)
    assert screen[0] < -0.2  # the dot is below the lens
    assert ball[1] < -0.2  # the ball is to the left of the picture


def test_omg_emotion_gives_each_frame_the_labels_of_its_utterance(convert: Convert) -> None:
    counts, data = convert(omg_emotion)
    assert counts == {"written": 3, "the film of the utterance is missing": 1}
    assert data.columns["expression"].tolist() == ["happy"] * 3
    np.testing.assert_allclose(data.labels("valence", "arousal"), [[-0.5, 0.5]] * 3)
    assert data.labels("frame")[:, 0].tolist() == [0, 1, 2]
    assert set(data.columns["subject"]) == {"abc"}


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
        (
            eth_xgaze,
            lambda r: (r / "train/subject0000.h5").write_bytes(b"no HDF5"),
            r"subject0000.h5.*face_patch \[N, 224, 224, 3\]",
        ),
        (
            eth_xgaze,
            lambda r: h5py.File(r / "train/subject0003.h5", "w").close(),
            r"subject0003.h5.*face_gaze \[N, 2\] in radians",
        ),
        (
            eyediap,
            lambda r: (r / "Data/1_A_CS_S/screen_coordinates.txt").write_text("Frame\n0;1;2;3\n"),
            r"screen_coordinates.txt:2: '0 1 2 3'; lines of the frame and 5 numbers",
        ),
        (
            eyediap,
            lambda r: (r / "Data/14_B_FT_M/rgb_vga_calibration.txt").write_text("[R]\n1;2;3\n"),
            r"rgb_vga_calibration.txt has other content",
        ),
        (
            eyediap,
            lambda r: (r / "Data/14_B_FT_M/rgb_vga.mov").unlink(),
            r"rgb_vga.mov is missing",
        ),
        (
            omg_emotion,
            lambda r: (r / "omg_TrainVideos.csv").write_text("video,utterance\nabc,u.mp4\n"),
            r"omg_TrainVideos.csv:2 lacks arousal, valence, EmotionMaxVote",
        ),
        (
            omg_emotion,
            lambda r: (r / "videos/abc/utterance_1.mp4").unlink(),
            r"has no film of the utterances",
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
        module.convert(ConversionJob(tmp_path / "source", tmp_path / "out", tracker))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", [raf_db, expw, affectnet, gaze_capture, omg_emotion])
def test_a_fixed_split_takes_no_people_to_test_on(
    module: ModuleType, tmp_path: Path, tracker: FaceTracker
) -> None:
    with pytest.raises(DatasetError, match=r"split of .* is fixed: leave out --test"):
        module.convert(ConversionJob(tmp_path, tmp_path / "out", tracker, test=["a"]))
