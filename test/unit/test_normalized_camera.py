"""Tests the rotation of the normalized camera, for any lens, and its angles."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from face_perception import faces, geometry
from face_perception.gaze import (
    eye_points,
    from_normalized_angles,
    normalized_camera_rotation,
    rotation_facing_eyes,
    to_normalized_angles,
)
from face_perception.types import Camera, Face, Roi

CAMERA = Camera.assume(1280, 720)
# The 12 points of a face that looks at the lens, which is at the origin; metres, x right, y down.
_HALF = np.array([[-0.045, 0.0], [-0.036, -0.005], [-0.027, -0.005], [-0.018, 0.0]])
_RIGHT_EYE = np.concatenate([_HALF, [[-0.027, 0.004], [-0.036, 0.004]]])
_LEFT_EYE = (_RIGHT_EYE * (-1, 1))[[3, 2, 1, 0, 5, 4]]
EYES = np.concatenate([_RIGHT_EYE, _LEFT_EYE])


def face_at(camera: Camera, centre: np.ndarray, roll: float = 0.0) -> Face:
    """Returns a face with its eyes in a plane across the line of sight, turned by ``roll`` about
    it.
    """
    forward = centre / np.linalg.norm(centre)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    turned = EYES @ np.array([[c, s], [-s, c]])
    points = centre + turned[:, :1] * right + turned[:, 1:] * down
    landmarks = np.zeros((478, 3), np.float32)
    numbers = np.arange(478, dtype=np.float32)
    order = eye_points(np.stack([numbers, numbers, numbers], axis=1))[:, 0].astype(int)
    landmarks[order, :2] = faces.project_points(camera, points)
    return Face("face_1", 1.0, Roi(0, 0, 1, 1), landmarks, None)


@pytest.mark.parametrize("roll", [0.0, 0.35, -1.2, math.pi])
@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.6), (0.3, -0.15, 0.7), (-0.6, 0.3, 1.5)])
def test_rotation_faces_the_eyes(centre: tuple[float, float, float], roll: float) -> None:
    rotation = normalized_camera_rotation(CAMERA, face_at(CAMERA, np.array(centre), roll))
    assert rotation.T @ rotation == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    # To the midpoint of the eyes, which is a little to the side of their centre of perspective.
    assert geometry.angle_between(rotation[:, 2], np.array(centre)) < 0.005
    upright = normalized_camera_rotation(CAMERA, face_at(CAMERA, np.array(centre)))
    turned = upright.T @ rotation
    found = math.atan2(turned[1, 0], turned[0, 0])
    assert math.remainder(found - roll, math.tau) == pytest.approx(0, abs=0.01)
    to_lens = -np.array(centre) / np.linalg.norm(centre)
    assert to_normalized_angles(rotation, to_lens) == pytest.approx((0, 0), abs=0.005)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("plumb_bob", (-0.3, 0.1, 0.001, -0.002, 0.0)),
        ("equidistant", (0.01, -0.002, 0.0, 0.0)),
    ],
)
def test_any_lens(model: str, coefficients: tuple[float, ...]) -> None:
    lens = dataclasses.replace(CAMERA, distortion=coefficients, distortion_model=model)
    centre = np.array([0.25, -0.12, 0.7])
    straight = normalized_camera_rotation(CAMERA, face_at(CAMERA, centre, 0.2))
    bent = normalized_camera_rotation(lens, face_at(lens, centre, 0.2))
    assert bent == pytest.approx(straight, abs=1e-5)


def test_any_size_of_the_same_view() -> None:
    half = Camera(640, 360, 640, 640, (CAMERA.cx + 0.5) / 2 - 0.5, (CAMERA.cy + 0.5) / 2 - 0.5)
    centre = np.array([-0.2, 0.1, 0.5])
    assert normalized_camera_rotation(half, face_at(half, centre)) == pytest.approx(
        normalized_camera_rotation(CAMERA, face_at(CAMERA, centre)), abs=1e-5
    )


def test_signs_of_angles() -> None:
    identity = np.eye(3)
    assert to_normalized_angles(identity, np.array([0.0, 0.0, -1.0])) == (0, 0)
    yaw, pitch = to_normalized_angles(identity, np.array([0.6, -0.0, -0.8]))
    assert yaw > 0, "image right"
    yaw, pitch = to_normalized_angles(identity, np.array([0.0, -0.6, -0.8]))
    assert pitch > 0, "up"
    # A head on its side, whose eyes look towards its own forehead: up in its normalized camera, and
    # in the image to the side where the forehead is.
    face = face_at(CAMERA, np.array([0.0, 0.0, 0.6]), math.pi / 2)
    direction = from_normalized_angles(normalized_camera_rotation(CAMERA, face), 0.0, 0.3)
    assert direction[0] > 0.25
    assert direction[1] == pytest.approx(0, abs=0.01)


def test_angles_and_direction_are_inverse() -> None:
    rng = np.random.default_rng(3)
    for yaw, pitch in rng.uniform(-1.2, 1.2, (20, 2)):
        face = face_at(CAMERA, np.array([*rng.uniform(-0.3, 0.3, 2), 0.8]), rng.uniform(-1, 1))
        rotation = normalized_camera_rotation(CAMERA, face)
        direction = from_normalized_angles(rotation, yaw, pitch)
        assert np.linalg.norm(direction) == pytest.approx(1)
        assert to_normalized_angles(rotation, direction) == pytest.approx((yaw, pitch))


def test_published_vector_and_ours() -> None:
    """GEDDnet's pitch and yaw, converted as its authors do, agree with ours for the same angles."""
    rotation = normalized_camera_rotation(CAMERA, face_at(CAMERA, np.array([0.3, 0.1, 0.8]), 0.3))
    pitch, yaw = 0.2, -0.35
    vector = [math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)]
    right, down, forward = rotation.T
    published = -(vector[0] * right + vector[1] * down + vector[2] * forward)
    assert from_normalized_angles(rotation, -yaw, pitch) == pytest.approx(published)


def test_nothing_to_go_by_is_nan() -> None:
    face = face_at(CAMERA, np.array([0.0, 0.0, 0.6]))
    face.landmarks[33, 0] = np.nan
    assert np.isnan(normalized_camera_rotation(CAMERA, face)).all()
    assert np.isnan(rotation_facing_eyes(np.zeros((12, 2)))).all()
    assert np.isnan(rotation_facing_eyes(np.full((12, 2), np.inf))).all()
    assert np.isnan(to_normalized_angles(np.full((3, 3), np.nan), np.array([0.0, 0.0, -1.0]))).all()
