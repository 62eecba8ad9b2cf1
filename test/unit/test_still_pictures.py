"""Tests single photographs, which are estimated with their mirror image."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest

from face_perception import types
from face_perception.faces import flip_averaging as mirror
from face_perception.faces import project_points
from face_perception.inference import sample_photo
from face_perception.pipeline import Perception
from face_perception.results import FrameResult

PHOTOS = ("astronaut", "grace_hopper")


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception.load(single_image=True)


def look(perception: Perception, image: np.ndarray) -> FrameResult:
    camera = types.Camera.assume(image.shape[1], image.shape[0])
    return perception.process(types.Frame(np.ascontiguousarray(image), 0.0, camera))


def photo(name: str) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(sample_photo(name))), cv2.COLOR_BGR2RGB)


def off_the_lens(gaze: types.Gaze) -> tuple[float, float]:
    """Returns the angle between gaze and line to the camera: degrees, horizontal and vertical."""
    to_camera = types.Gaze("", gaze.origin, -gaze.origin / np.linalg.norm(gaze.origin), 1, True, "")
    return (
        math.degrees(gaze.yaw - to_camera.yaw),
        math.degrees(gaze.pitch - to_camera.pitch),
    )


@pytest.mark.parametrize("name", PHOTOS)
def test_a_look_into_the_lens_is_recognised(perception: Perception, name: str) -> None:
    (gaze,) = look(perception, photo(name)).gazes
    horizontally, vertically = off_the_lens(gaze)
    assert abs(horizontally) < 3
    assert abs(vertically) < 5.5


@pytest.mark.parametrize("name", PHOTOS)
def test_a_mirror_image_gives_the_mirrored_result(perception: Perception, name: str) -> None:
    one, other = look(perception, photo(name)), look(perception, photo(name)[:, ::-1])
    assert one.gazes[0].yaw == pytest.approx(-other.gazes[0].yaw, abs=math.radians(1.5))
    assert one.gazes[0].pitch == pytest.approx(other.gazes[0].pitch, abs=math.radians(1.5))
    a, b = one.faces[0].pose, other.faces[0].pose
    assert a is not None
    assert b is not None
    assert a.yaw == pytest.approx(-b.yaw, abs=math.radians(1.5))
    assert a.roll == pytest.approx(-b.roll, abs=math.radians(1.5))


def test_a_pose_that_is_upside_down_in_the_mirror_image_is_not_averaged(
    perception: Perception,
) -> None:
    image = photo("astronaut")
    camera = types.Camera.assume(image.shape[1], image.shape[0])
    (face,), (other,) = (look(perception, view).faces for view in (image, image[:, ::-1]))
    assert mirror.match_mirrored_faces([face], [other], camera) == [other]
    assert other.pose is not None
    half_turn = np.diag([-1.0, -1.0, 1.0])
    pose = dataclasses.replace(other.pose, rotation=half_turn @ other.pose.rotation)
    upside_down = dataclasses.replace(other, pose=pose)
    assert mirror.match_mirrored_faces([face], [upside_down], camera) == [None]


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("angle_deg", [-20, 20])
def test_turning_the_picture_turns_roll(
    perception: Perception, name: str, angle_deg: float
) -> None:
    image = photo(name)
    height, width = image.shape[:2]
    # Rotate about the face to keep its line of sight; OpenCV's angle is anticlockwise.
    (face,) = look(perception, image).faces
    x, y = (float(v) for v in face.landmarks[:, :2].mean(axis=0))
    turn = cv2.getRotationMatrix2D((x, y), -angle_deg, 1.0)
    turned = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    (other,) = look(perception, turned).faces
    assert face.pose is not None
    assert other.pose is not None
    assert math.degrees(other.pose.roll - face.pose.roll) == pytest.approx(angle_deg, abs=1.5)


def test_a_face_that_is_found_in_one_image_only_is_kept(perception: Perception) -> None:
    (gaze,) = look(perception, photo("astronaut")).gazes
    lost = types.Gaze("a", gaze.origin, gaze.direction, 0.1, False, "geometric")
    assert mirror.average_gazes(gaze, lost) is gaze
    back = mirror.average_gazes(lost, gaze)
    assert back.valid
    assert back.direction[0] == -gaze.direction[0]


def test_mirroring_a_camera_twice_changes_nothing() -> None:
    camera = types.Camera(64, 48, 80, 81, 30, 20, (0.1, 0.2, 0.01, 0.02, 0.3), "plumb_bob")
    frame = types.Frame(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3), 0.0, camera)
    once = mirror.mirror_frame(frame)
    assert once.camera.cx == 33
    assert once.camera.distortion == (0.1, 0.2, 0.01, -0.02, 0.3)
    twice = mirror.mirror_frame(once)
    assert twice.camera == camera
    assert np.array_equal(twice.image, frame.image)


_PLUMB_BOB = (-0.3, 0.1, 0.01, 0.02, 0.05)


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("plumb_bob", _PLUMB_BOB),
        ("equidistant", (0.1, 0.02, -0.01, 0.005)),
        ("rational_polynomial", (*_PLUMB_BOB, 0.02, 0.03, 0.01)),
        ("rational_polynomial", (*_PLUMB_BOB, 0.02, 0.03, 0.01, 0.02, 0.01, 0.03, -0.01)),
        (
            "rational_polynomial",
            (*_PLUMB_BOB, 0.02, 0.03, 0.01, 0.02, 0.01, 0.03, -0.01, 0.05, -0.08),
        ),
    ],
)
def test_a_mirrored_lens_distorts_the_mirrored_way(
    model: str, distortion: tuple[float, ...]
) -> None:
    """The mirrored ray falls on the mirrored point."""

    camera = types.Camera(640, 480, 500, 510, 300, 250, distortion, model)
    blank = types.Frame(np.zeros((480, 640, 3), np.uint8), 0.0, camera)
    points = np.array([[0.3, -0.2, 1.0], [-0.4, 0.3, 1.2]])
    there = project_points(camera, points)
    mirrored = project_points(mirror.mirror_frame(blank).camera, points * (-1, 1, 1))
    np.testing.assert_allclose(mirrored[:, 0], 639 - there[:, 0], atol=1e-6)
    np.testing.assert_allclose(mirrored[:, 1], there[:, 1], atol=1e-6)


def close(name: str) -> np.ndarray:
    """Returns a photograph cropped to 1.6 times the size of its face, like a portrait."""
    middle, height = {"astronaut": ((224, 122), 108), "grace_hopper": ((265, 220), 195)}[name]
    half = int(0.8 * height)
    (x, y), image = middle, photo(name)
    return image[max(0, y - half) : y + half, x - half : x + half]


@pytest.mark.parametrize("name", PHOTOS)
def test_a_portrait_gets_a_longer_focal_length(perception: Perception, name: str) -> None:
    whole, cut = look(perception, photo(name)), look(perception, close(name))
    assert cut.camera.assumed
    assert cut.camera.fx == cut.camera.fy > 1.1 * cut.camera.width
    assert whole.camera.fx < 1.5 * whole.camera.width
    (face,), (gaze,) = cut.faces, cut.gazes
    assert face.pose is not None
    assert face.pose.position[2] == pytest.approx(0.5, abs=0.06)
    # Gaze and head pose use one camera, so the eyes are on the head.
    assert np.linalg.norm(gaze.origin - face.pose.position) < 0.05
    # The focal length of the whole picture gives nearly the same head.
    assert whole.faces[0].pose is not None
    assert face.pose.yaw == pytest.approx(whole.faces[0].pose.yaw, abs=math.radians(5))


def test_a_calibrated_camera_is_not_changed(perception: Perception) -> None:
    image = np.ascontiguousarray(close("grace_hopper"))
    height, width = image.shape[:2]
    camera = types.Camera(width, height, width, width, width / 2, height / 2)
    result = perception.process(types.Frame(image, 0.0, camera))
    assert result.camera is camera
    assert result.faces[0].pose is not None
    assert result.faces[0].pose.position[2] < 0.4
