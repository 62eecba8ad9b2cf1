"""Tests gaze of a network: signs on mirrored and rotated photographs, batches, blinks, refusals."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import cv2
import gaze_network
import numpy as np
import numpy.typing as npt
import pytest
from faces_scene import frame, paste, wall

from face_perception import faces, geometry
from face_perception.faces import flip_averaging as mirror
from face_perception.gaze import (
    GazeSettings,
    GeometricGaze,
    NetworkGaze,
    make_gaze_crops,
    to_normalized_angles,
)
from face_perception.inference import Model, ModelError, load
from face_perception.types import Camera, Face, Frame, Gaze, HeadPose

PHOTOS = ("astronaut", "grace_hopper")
FLIP = np.diag([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Returns a small real network whose yaw says which side of the crops is brighter."""
    folder = tmp_path_factory.mktemp("models")
    gaze_network.install_sides(folder=folder)
    return load(folder / "sides.yaml")


class Says:
    """A model that gives a chosen pitch and yaw for every face, and counts its calls."""

    name = "says"

    def __init__(self, network: Model, pitch: float, yaw: float) -> None:
        self.inputs, self.outputs, self.card = network.inputs, network.outputs, network.card
        self.answer = (pitch, yaw)
        self.batches: list[int] = []

    def infer(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        self.batches.append(len(inputs["face"]))
        return {"gaze": np.array([self.answer] * len(inputs["face"]), np.float32)}


def says(network: Model, pitch: float, yaw: float, **settings: float) -> NetworkGaze:
    return NetworkGaze(Says(network, pitch, yaw), GazeSettings(**settings))  # type: ignore[arg-type]


def off(a: Gaze, b: npt.NDArray[np.floating]) -> float:
    return math.degrees(geometry.angle_between(a.direction, b))


@pytest.mark.parametrize("name", PHOTOS)
def test_into_the_camera(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]], name: str
) -> None:
    """(0, 0) points from the eyes to the lens; the geometric origin says where the eyes are."""
    shot, face = photo_faces[name]
    (gaze,) = says(network, 0, 0).estimate(shot, [face])
    assert gaze.valid
    assert gaze.source == "says"
    assert 0 < gaze.confidence <= 1
    assert off(gaze, -gaze.origin) < 1
    other = GeometricGaze().estimate(shot.camera, face, 0.0)
    assert gaze.origin == pytest.approx(other.origin)
    assert off(gaze, other.direction) < 8, "they do look at the lens"


def test_signs(network: Model, photo_faces: dict[str, tuple[Frame, Face]]) -> None:
    shot, face = photo_faces["astronaut"]
    (straight,) = says(network, 0, 0).estimate(shot, [face])
    (up,) = says(network, 0.2, 0).estimate(shot, [face])
    (left,) = says(network, 0, 0.2).estimate(shot, [face])
    assert up.pitch - straight.pitch == pytest.approx(0.2, abs=0.03), "pitch > 0 is up"
    assert left.yaw - straight.yaw == pytest.approx(-0.2, abs=0.03), "yaw > 0 is image left"
    made = make_gaze_crops(shot.image, shot.camera, face)
    pitch, yaw = 0.13, -0.31
    right, down, forward = made.rotation.T
    vector = (math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch))
    (gaze,) = says(network, pitch, yaw).estimate(shot, [face])
    expected = -(vector[0] * right + vector[1] * down + vector[2] * forward)
    assert gaze.direction == pytest.approx(expected, abs=1e-6)
    assert to_normalized_angles(made.rotation, gaze.direction) == pytest.approx(
        (-yaw, pitch), abs=1e-6
    )


@pytest.mark.parametrize("name", PHOTOS)
def test_a_mirrored_photograph_looks_to_the_other_side(
    network: Model,
    tracker: faces.FaceTracker,
    photo_faces: dict[str, tuple[Frame, Face]],
    name: str,
) -> None:
    """Uses the real tracker, and a real network that distinguishes left from right."""
    shot, face = photo_faces[name]
    reverse = mirror.mirror_frame(shot)
    (one,) = NetworkGaze(network).estimate(shot, [face])
    (other,) = NetworkGaze(network).estimate(reverse, tracker.detect(reverse))
    assert off(one, FLIP @ other.direction) < 3
    made = make_gaze_crops(shot.image, shot.camera, face)
    pitch, yaw = gaze_network.answer(made.face, made.left_eye, made.right_eye)
    assert abs(yaw) > 0.02, "a network that says nothing would pass"
    assert to_normalized_angles(made.rotation, one.direction) == pytest.approx(
        (-yaw, pitch), abs=1e-5
    )


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photograph_turned_by_20_degrees(
    network: Model,
    tracker: faces.FaceTracker,
    photo_faces: dict[str, tuple[Frame, Face]],
    name: str,
) -> None:
    """The picture is rotated about the optical axis, and the gaze with it."""
    shot, face = photo_faces[name]
    camera = shot.camera
    turn = cv2.getRotationMatrix2D((camera.cx, camera.cy), -20, 1.0)
    size = (camera.width, camera.height)
    moved = frame(cv2.warpAffine(shot.image, turn, size, borderMode=cv2.BORDER_REPLICATE))
    (found,) = tracker.detect(moved)
    about = cv2.Rodrigues(np.array([0.0, 0.0, math.radians(20)]))[0]
    for pitch, yaw in ((0.0, 0.0), (0.7, 0.0), (0.0, 0.7)):
        (one,) = says(network, pitch, yaw).estimate(shot, [face])
        (other,) = says(network, pitch, yaw).estimate(moved, [found])
        assert off(other, about @ one.direction) < 2.5
        if pitch or yaw:
            assert off(other, one.direction) > 4, "not turning would be noticed"


def test_all_faces_in_one_batch(network: Model, tracker: faces.FaceTracker) -> None:
    image = wall(960, 540)
    paste(image, "astronaut", 240, 270, 220)
    paste(image, "grace_hopper", 700, 270, 240)
    shot = frame(image)
    found = tracker.detect(shot)
    assert len(found) == 2
    found = [dataclasses.replace(face, face_id=f"face_{i}") for i, face in enumerate(found)]
    model = Says(network, 0.1, 0.1)
    gazes = NetworkGaze(model).estimate(shot, found)  # type: ignore[arg-type]
    assert model.batches == [2]
    assert [gaze.face_id for gaze in gazes] == ["face_0", "face_1"]
    together = NetworkGaze(network).estimate(shot, found)
    alone = [NetworkGaze(network).estimate(shot, [face])[0] for face in found]
    for one, other in zip(together, alone, strict=True):
        assert one.valid
        assert one.direction == pytest.approx(other.direction, abs=1e-6)
    assert off(together[0], together[1].direction) > 1, "each has its own crops"
    assert NetworkGaze(network).estimate(shot, []) == []


def at(shot: Frame, stamp: float) -> Frame:
    return dataclasses.replace(shot, stamp=stamp)


def test_closed_eyes_hold_the_gaze(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    shot, face = photo_faces["astronaut"]
    model = Says(network, 0.1, 0.2)
    estimator = NetworkGaze(model)  # type: ignore[arg-type]
    (before,) = estimator.estimate(at(shot, 0.0), [face])
    closed = dataclasses.replace(face, left_eye_openness=0.1, right_eye_openness=0.1)
    model.answer = (-0.5, -0.5)
    (during,) = estimator.estimate(at(shot, 0.1), [closed])
    assert not during.valid
    assert during.confidence == 0
    assert during.direction == pytest.approx(before.direction)
    assert model.batches == [1], "closed eyes are not shown to the network"
    model.answer = (0.1, 0.2)
    (after,) = estimator.estimate(at(shot, 0.2), [face])
    assert after.valid
    assert off(after, before.direction) < 0.1
    (fresh,) = says(network, 0.1, 0.2).estimate(shot, [closed])
    assert not fresh.valid
    assert np.isnan(fresh.direction).all()


def test_smoothing_and_gaps(network: Model, photo_faces: dict[str, tuple[Frame, Face]]) -> None:
    shot, face = photo_faces["astronaut"]
    model = Says(network, 0.0, 0.0)
    estimator = NetworkGaze(model, GazeSettings(min_cutoff=1.0, beta=0.0))  # type: ignore[arg-type]
    (first,) = estimator.estimate(at(shot, 0.0), [face])
    model.answer = (0.0, 0.1)
    (second,) = estimator.estimate(at(shot, 0.033), [face])
    assert 0.2 < off(second, first.direction) < 2, "in part"
    (later,) = estimator.estimate(at(shot, 5.0), [face])
    assert off(later, first.direction) == pytest.approx(math.degrees(0.1), abs=0.3), "afresh"
    estimator.keep([], 5.01 + faces.ID_EXPIRES_AFTER)
    model.answer = (0.0, 0.0)
    (again,) = estimator.estimate(at(shot, 5.01), [face])
    assert off(again, first.direction) < 0.1


def turned_away(face: Face) -> Face:
    assert face.pose is not None
    turn = cv2.Rodrigues(np.array([0.0, 1.3, 0.0]))[0]
    return dataclasses.replace(face, pose=HeadPose(face.pose.position, turn @ face.pose.rotation))


def test_what_cannot_be_seen_is_held_and_says_why(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    shot, face = photo_faces["astronaut"]
    estimator = says(network, 0.1, 0.2)
    (before,) = estimator.estimate(at(shot, 0.0), [face])
    assert estimator.refused == {}
    x = int(face.landmarks[:, 0].mean())
    half = np.ascontiguousarray(shot.image[:, x:])
    camera = dataclasses.replace(shot.camera, width=half.shape[1], cx=shot.camera.cx - x)
    cut = dataclasses.replace(face, landmarks=face.landmarks - np.float32((x, 0, 0)))
    (during,) = estimator.estimate(Frame(half, 0.1, camera), [cut])
    assert "outside the image" in estimator.refused[face.face_id]
    for gaze in (
        during,
        estimator.estimate(at(shot, 0.2), [turned_away(face)])[0],
        estimator.estimate(at(shot, 0.3), [dataclasses.replace(face, pose=None)])[0],
    ):
        assert not gaze.valid
        assert gaze.confidence == 0
        assert gaze.direction == pytest.approx(before.direction)
    (after,) = estimator.estimate(at(shot, 0.4), [face])
    assert after.valid
    assert estimator.refused == {}


def test_an_answer_that_is_not_finite_is_no_gaze(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    shot, face = photo_faces["astronaut"]
    (gaze,) = says(network, math.nan, 0.0).estimate(shot, [face])
    assert not gaze.valid
    assert np.isnan(gaze.direction).all()


def test_any_camera_that_sees_the_same(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]], tracker: faces.FaceTracker
) -> None:
    shot, _ = photo_faces["astronaut"]
    big = cv2.resize(shot.image, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    other = frame(big)
    (one,) = NetworkGaze(network).estimate(shot, tracker.detect(shot))
    (two,) = NetworkGaze(network).estimate(other, tracker.detect(other))
    assert off(one, two.direction) < 1.5


def test_an_image_of_another_size_is_an_error(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    shot, face = photo_faces["astronaut"]
    wrong = dataclasses.replace(shot, camera=Camera.assume(640, 480))
    with pytest.raises(ValueError, match="640x480"):
        NetworkGaze(network).estimate(wrong, [face])


def test_other_networks_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expression is not a gaze network.*geometric"):
        NetworkGaze(load("expression"))
    gaze_network.install_sides("patches", tmp_path, inputs=False)
    with pytest.raises(ModelError, match=r"it takes patch \[N, 1, 96, 96\]"):
        NetworkGaze(load(tmp_path / "patches.yaml"))


def test_a_network_of_the_eyes_alone(
    network: Model, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    """The network takes no face crop, so the face need not be inside the image."""
    shot, face = photo_faces["astronaut"]

    class Eyes(Says):
        def infer(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            assert sorted(inputs) == ["left_eye", "right_eye"]
            return {"gaze": np.zeros((len(inputs["left_eye"]), 2), np.float32)}

    model = Eyes(network, 0, 0)
    model.inputs = {k: v for k, v in network.inputs.items() if k != "face"}
    # The image ends below the eyes: a third of the face crop is missing.
    eyes = face.landmarks[faces.POINTS_68[36:48]]
    low = int(eyes[:, 1].max() + 0.35 * (eyes[6:, 0].mean() - eyes[:6, 0].mean()))
    part = np.ascontiguousarray(shot.image[:low])
    cut = Frame(part, 0.0, dataclasses.replace(shot.camera, height=low))
    for image in (shot, cut):
        (gaze,) = NetworkGaze(model).estimate(image, [face])  # type: ignore[arg-type]
        assert gaze.valid
    whole = NetworkGaze(network)
    assert not whole.estimate(cut, [face])[0].valid
    assert "of its face is outside the image" in whole.refused[face.face_id]
