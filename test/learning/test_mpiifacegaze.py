"""Conversion of MPIIFaceGaze, here made of the sample photographs, and errors for invalid files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

scipy_io = pytest.importorskip("scipy.io")
pytest.importorskip("pyarrow")

from face_perception import faces
from face_perception.cli import main
from face_perception.faces import FaceTracker
from face_perception.gaze import make_gaze_crops, normalized_camera_rotation, to_normalized_angles
from face_perception.inference import Model, sample_photo
from face_perception.learning.data import dataset, mpiifacegaze
from face_perception.learning.data.converting import ConversionJob, splits_of
from face_perception.types import Camera, Face, Frame, Image

PEOPLE = {"p00": "astronaut", "p01": "grace_hopper"}
DISTANCE = 0.5
DISTORTION = (0.05, -0.02, 0.001, -0.001, 0.0)
# The targets in the frame of the camera, metres: the lens, and a point beside it.
TARGETS = ((0.0, 0.0, 0.0), (0.2, 0.1, 0.0))
POINTS = (
    *(faces.RIGHT_OUTER_CANTHUS, faces.RIGHT_INNER_CANTHUS),
    *(faces.LEFT_INNER_CANTHUS, faces.LEFT_OUTER_CANTHUS),
    *(faces.MOUTH_RIGHT, faces.MOUTH_LEFT),
)


def photograph(person: str) -> tuple[Image, Camera]:
    bgr = cv2.imread(str(sample_photo(PEOPLE[person])))
    height, width = bgr.shape[:2]
    matrix = width, width, width / 2, height / 2
    camera = Camera(width, height, *matrix, DISTORTION, "plumb_bob")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), camera


def see(person: str, tracker: FaceTracker) -> tuple[Image, Camera, Face]:
    # As decoded, because a JPEG changes the photograph.
    image, camera = photograph(person)
    _, jpeg = cv2.imencode(".jpg", image[..., ::-1])
    image = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    (face,) = tracker.detect(Frame(image, 0.0, camera))
    return image, camera, face


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, face_networks: tuple[Model, Model]) -> Path:
    """The unpacked data set: two people, one day each, two images with a face and one without."""
    root = tmp_path_factory.mktemp("mpii")
    tracker = FaceTracker(*face_networks)
    for person in PEOPLE:
        image, _ = photograph(person)
        _, camera, face = see(person, tracker)
        folder = root / person
        (folder / "day01").mkdir(parents=True)
        (folder / "Calibration").mkdir()
        scipy_io.savemat(
            folder / "Calibration" / "Camera.mat",
            {"cameraMatrix": camera.matrix, "distCoeffs": np.array([DISTORTION])},
        )
        corners = face.landmarks[list(POINTS), :2]
        ray = np.append(faces.undistort_points(camera, corners).mean(0), 1)
        middle = 1000 * DISTANCE * ray / np.linalg.norm(ray)
        lines = []
        for number, target in enumerate((*TARGETS, TARGETS[0])):
            name = f"day01/{number + 1:04d}.jpg"
            there = image if number < len(TARGETS) else np.full_like(image, 90)
            cv2.imwrite(str(folder / name), there[..., ::-1])
            numbers = np.concatenate(
                [
                    (640, 400),
                    corners.round().ravel(),
                    (0.0, 0.2, 0.0),
                    middle + (0, 20, 30),
                    middle,
                    1000 * np.array(target),
                ]
            )
            lines.append(f"{name} {' '.join(f'{value:.6g}' for value in numbers)} left")
        (folder / f"{person}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_it_becomes_our_layout(
    published: Path, tmp_path: Path, tracker: FaceTracker, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["convert", "mpiifacegaze", str(published), str(out), "--test", "p01"]) == 0
    said = capsys.readouterr().out
    assert "written: 4\n" in said
    assert "no face was found where it is annotated: 2\n" in said
    data = dataset.read(out, ("left_eye", "right_eye", "gaze_pitch", "gaze_yaw"))
    assert data.licence == "CC BY-NC-SA 4.0"
    assert list(data.columns["subject"]) == ["p00", "p00", "p01", "p01"]
    assert list(data.columns["split"]) == ["train", "train", "test", "test"]
    gaze = np.degrees(data.labels("gaze_pitch", "gaze_yaw"))
    for i, person in enumerate(data.columns["subject"]):
        image, camera, face = see(person, tracker)
        made = make_gaze_crops(image, camera, face)
        np.testing.assert_array_equal(data.gray(i, "file", (96, 96)), made.face)
        np.testing.assert_array_equal(data.gray(i, "left_eye", (64, 96)), made.left_eye)
        np.testing.assert_array_equal(data.gray(i, "right_eye", (64, 96)), made.right_eye)
        # From the midpoint of the eyes to the target, in the normalized camera.
        rotation = normalized_camera_rotation(camera, face)
        eyes = DISTANCE * rotation[:, 2]
        away = np.array(TARGETS[i % 2]) - eyes
        yaw, pitch = np.degrees(to_normalized_angles(rotation, away / np.linalg.norm(away)))
        np.testing.assert_allclose(gaze[i], (pitch, yaw), atol=0.7)
    # The lens, and a point 20 cm to the right in the image and 10 cm below.
    np.testing.assert_allclose(gaze[::2], 0, atol=0.7)
    assert (gaze[1::2, 1] > 15).all()
    assert (gaze[1::2, 0] < -8).all()
    np.testing.assert_allclose(data.labels("distance"), DISTANCE, atol=1e-3)
    # A rotation of 0.2 about the y axis (down) turns a face that looks at the camera to the left of
    # the image.
    _, camera, face = see("p00", tracker)
    facing = -cv2.Rodrigues(np.array([0.0, 0.2, 0.0]))[0][:, 2]
    wanted = to_normalized_angles(normalized_camera_rotation(camera, face), facing)
    np.testing.assert_allclose(data.labels("head_yaw", "head_pitch")[0], wanted, atol=1e-6)


def _lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def write(person: Path) -> None:
        file = person / f"{person.name}.txt"
        lines = file.read_text().splitlines()
        file.write_text("\n".join([" ".join(change(lines[0].split())), *lines[1:]]))

    return write


def _camera(**content: object) -> Callable[[Path], None]:
    return lambda person: scipy_io.savemat(person / "Calibration" / "Camera.mat", content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda p: (p / "p00.txt").unlink(),
            r"p00.txt is missing",
        ),
        (_lines(lambda f: f[:-1]), r"p00.txt:1: 27 columns; 28 were expected: image; gaze on the"),
        (_lines(lambda f: [f[0], "x", *f[2:]]), r"p00.txt:1: .*'x'; numbers were expected"),
        (
            _lines(lambda f: [*f[:23], str(float(f[23]) / 1000), *f[24:]]),
            r"p00.txt:1: the middle of the face .* millimetres, 100 to 3000 .* were expected",
        ),
        (
            _lines(lambda f: [*f[:21], "400", *f[22:]]),
            r"p00.txt:1: the six points are not where Calibration/Camera.mat sees",
        ),
        (lambda p: (p / "day01/0001.jpg").unlink(), r"no file .*0001.jpg: .*p00.txt:1 names it"),
        (
            lambda p: (p / "day01/0001.jpg").write_text("no"),
            r"0001.jpg is (damaged|not a picture).*p00.txt:1 names it",
        ),
        (
            lambda p: (p / "Calibration/Camera.mat").unlink(),
            r"Camera.mat is missing: cameraMatrix \[3, 3\] and distCoeffs",
        ),
        (
            lambda p: (p / "Calibration/Camera.mat").write_text("no"),
            r"Camera.mat cannot be read: .*cameraMatrix",
        ),
        (_camera(distCoeffs=np.zeros(5)), r"Camera.mat lacks cameraMatrix: cameraMatrix \[3, 3\]"),
        (_camera(cameraMatrix=np.eye(2), distCoeffs=np.zeros(5)), r"has \[2, 2\] and 5: "),
    ],
)
def test_what_is_missing_or_odd_is_named(
    spoil: Callable[[Path], None],
    said: str,
    published: Path,
    tmp_path: Path,
    tracker: FaceTracker,
) -> None:
    source = tmp_path / "source"
    shutil.copytree(published / "p00", source / "p00")
    spoil(source / "p00")
    with pytest.raises(dataset.DatasetError, match=said):
        mpiifacegaze.convert(ConversionJob(source, tmp_path / "out", tracker))
    assert not (tmp_path / "out").exists()


def test_no_person_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "mpiifacegaze", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "has no folder such as p00" in capsys.readouterr().err


def test_people_are_not_in_two_parts() -> None:
    splits = splits_of([f"p{i:02d}" for i in range(15)], Path("data"), ())
    assert list(splits.values()) == ["train"] * 10 + ["validation"] * 2 + ["test"] * 3
