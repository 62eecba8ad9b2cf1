"""Tests GEDDnet's crops: the two published steps, mirrored and rotated photographs, refusals."""

from __future__ import annotations

import dataclasses
import importlib
import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from faces_scene import frame

from bench.geddnet_crops import CAMERA, EYES, published
from face_perception import faces
from face_perception.faces import flip_averaging as mirror
from face_perception.gaze import (
    CropsUnavailable,
    GazeCrops,
    make_gaze_crops,
    make_gaze_crops_from_points,
    normalized_camera_rotation,
)
from face_perception.types import Camera, Face, Frame, Image

# `make_gaze_crops` of the package hides the module of this name.
network_crops = importlib.import_module("face_perception.gaze.network_crops")
PHOTOS = ("astronaut", "grace_hopper")
FLIP = np.diag([-1.0, 1.0, 1.0])


def crops(shot: Frame, face: Face) -> GazeCrops:
    return make_gaze_crops(shot.image, shot.camera, face)


def three(made: GazeCrops) -> tuple[Image, Image, Image]:
    return made.face, made.left_eye, made.right_eye


def likeness(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Returns the correlation of two crops, without the aliasing that the published shrinking
    leaves.
    """
    soft = [cv2.GaussianBlur(crop, (0, 0), 1.5).ravel() for crop in (one, other)]
    return float(np.corrcoef(*soft)[0, 1])


# Only the Intel build of OpenCV computes bicubic interpolation in floats, as the published code
# did.
@pytest.mark.skipif(not cv2.ipp.useIPP(), reason="OpenCV without IPP")
@pytest.mark.parametrize("turn", [0.0, 0.35])
@pytest.mark.parametrize("distance", [0.4, 0.6, 1.1, 2.0, 5.0])
def test_as_the_two_published_steps(distance: float, turn: float) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (135, 240, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    c, s = math.cos(turn), math.sin(turn)
    points = EYES @ np.array([[c, s], [-s, c]]) + (0.05 * distance, -0.02)
    points = np.trunc(points * CAMERA.fx / distance + (CAMERA.cx, CAMERA.cy))
    made, expected = (
        three(make_gaze_crops_from_points(image, CAMERA, points)),
        published(image, CAMERA.matrix, points),
    )
    for one, other in zip(made, expected, strict=True):
        off = np.abs(one.astype(int) - other)
        # A sum exactly between two levels may be rounded either way.
        assert (off > 1).sum() <= 2
        assert off.max() <= 4


@pytest.mark.parametrize("seed", range(4))
def test_places_of_a_face_nearby_are_those_of_the_whole_warp(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Sampling with gaps, or warping without, gives the same crops to the last bit.

    Uses a sharp image and cameras of other sizes, so that a place that is rounded differently
    shows.
    """
    rng = np.random.default_rng(seed)
    width, height = ((1920, 1080), (1280, 720), (3840, 2160), (640, 480))[seed]
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    focal = width * rng.uniform(0.6, 0.9)
    camera = Camera(width, height, focal, focal * 1.01, width / 2 + 3.3, height / 2 - 7.7)
    turn = rng.uniform(-0.5, 0.5)
    c, s = math.cos(turn), math.sin(turn)
    eyes = EYES @ np.array([[c, s], [-s, c]]) + rng.uniform(-0.03, 0.03, 2)
    points = eyes * focal / rng.uniform(0.35, 0.65) + (camera.cx, camera.cy)
    sampled = make_gaze_crops_from_points(image, camera, points)
    monkeypatch.setattr(network_crops, "_apart", lambda columns, rows: False)
    warped = make_gaze_crops_from_points(image, camera, points)
    assert (sampled.face == warped.face).all()


@pytest.mark.parametrize("distance", [0.5, 1.1])
def test_on_any_number_of_threads(distance: float) -> None:
    """The crops are the same for any number of bands of lines, sampled with gaps or without."""
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    points = EYES * CAMERA.fx / distance + (CAMERA.cx, CAMERA.cy)
    before, made = cv2.getNumThreads(), []
    try:
        for threads in (1, 2, 3, 4, 12):
            cv2.setNumThreads(threads)
            made.append(three(make_gaze_crops_from_points(image, CAMERA, points)))
    finally:
        cv2.setNumThreads(before)
    for crops_of_one in zip(*made, strict=True):
        assert all((crop == crops_of_one[0]).all() for crop in crops_of_one)


@pytest.mark.parametrize("name", PHOTOS)
def test_what_is_in_them(photo_faces: dict[str, tuple[Frame, Face]], name: str) -> None:
    """The mesh network, run on the upright face crop, finds the eyes where they must be."""
    shot, face = photo_faces[name]
    made = crops(shot, face)
    assert made.face.shape == (96, 96)
    assert made.left_eye.shape == made.right_eye.shape == (64, 96)
    assert all(crop.dtype == np.uint8 and crop.max() > 240 for crop in three(made))

    def place(points: list[int]) -> npt.NDArray[np.floating]:
        """Converts a place in the scaled virtual image to pixels of the photograph."""
        pixels = np.c_[face.landmarks[points, :2], np.ones(len(points))] @ made.warp.T
        return pixels[:, :2] / pixels[:, 2:]

    right, left = place([33, 133]).mean(axis=0), place([362, 263]).mean(axis=0)
    assert left[0] - right[0] > 0, "not mirrored: the person's left eye is at image right"
    assert left[1] == pytest.approx(right[1], abs=2), "level"
    assert (left + right) / 2 == pytest.approx((960, 540), abs=10)
    # Pupils are dark, and in the middle of an eye that looks straight ahead.
    for eye in (made.left_eye, made.right_eye):
        assert eye[24:44, 33:63].mean() < eye.mean()


@pytest.mark.parametrize("name", PHOTOS)
def test_a_mirrored_photograph(photo_faces: dict[str, tuple[Frame, Face]], name: str) -> None:
    shot, face = photo_faces[name]
    reverse = mirror.mirror_frame(shot)
    other = mirrored_face(face, shot.camera)
    one, two = crops(shot, face), crops(reverse, other)
    assert likeness(two.face[:, ::-1], one.face) > 0.98
    assert likeness(two.left_eye[:, ::-1], one.right_eye) > 0.94
    assert likeness(two.right_eye[:, ::-1], one.left_eye) > 0.94
    assert likeness(two.left_eye[:, ::-1], one.left_eye) < 0.9
    assert FLIP @ two.rotation @ FLIP == pytest.approx(one.rotation, abs=1e-5)


def mirrored_face(face: Face, camera: Camera) -> Face:
    """Returns the landmarks of the mirror image, in which left and right are also swapped."""
    landmarks = face.landmarks.copy()
    swap = [
        (33, 263), (160, 387), (158, 385), (133, 362), (153, 380), (144, 373),
    ]  # fmt: skip
    for a, b in swap:
        landmarks[[a, b]] = face.landmarks[[b, a]]
    landmarks[:, 0] = camera.width - 1 - landmarks[:, 0]
    return dataclasses.replace(face, landmarks=landmarks)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_turned_photograph(
    photo_faces: dict[str, tuple[Frame, Face]], tracker: faces.FaceTracker, name: str
) -> None:
    """The photograph is rotated by 20 degrees about the face. The normalized camera turns with
    it.
    """
    shot, face = photo_faces[name]
    camera = shot.camera
    image, turn = turned(shot.image, face)
    moved = frame(image)
    points = face.landmarks.copy()
    points[:, :2] = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    one, two = crops(shot, face), crops(moved, dataclasses.replace(face, landmarks=points))
    found = one.rotation.T @ two.rotation
    assert math.atan2(found[1, 0], found[0, 0]) == pytest.approx(math.radians(20), abs=0.02)
    assert likeness(two.face, one.face) > 0.9
    for a, b in ((two.left_eye, one.left_eye), (two.right_eye, one.right_eye)):
        assert likeness(a, b) > 0.9
    # The same with the landmarks that the networks find in the rotated photograph.
    again = normalized_camera_rotation(camera, tracker.detect(moved)[0])
    found = one.rotation.T @ again
    assert math.atan2(found[1, 0], found[0, 0]) == pytest.approx(math.radians(20), abs=0.06)


def turned(image: Image, face: Face) -> tuple[Image, npt.NDArray[np.floating]]:
    """Returns the image rotated by 20 degrees clockwise about the face, and its matrix [2, 3]."""
    x, y = (float(v) for v in face.landmarks[:, :2].mean(axis=0))
    turn = cv2.getRotationMatrix2D((x, y), -20, 1.0)
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE), turn


def test_any_size_of_the_same_photograph(photo_faces: dict[str, tuple[Frame, Face]]) -> None:
    shot, face = photo_faces["astronaut"]
    one = crops(shot, face)
    size = (shot.camera.width * 3, shot.camera.height * 2)
    image = cv2.resize(shot.image, size, interpolation=cv2.INTER_CUBIC)
    c = shot.camera
    camera = Camera(*size, 3 * c.fx, 2 * c.fy, 3 * c.cx + 1, 2 * c.cy + 0.5)
    landmarks = face.landmarks.copy()
    landmarks[:, 0] = 3 * landmarks[:, 0] + 1
    landmarks[:, 1] = 2 * landmarks[:, 1] + 0.5
    two = make_gaze_crops(image, camera, dataclasses.replace(face, landmarks=landmarks))
    assert two.rotation == pytest.approx(one.rotation, abs=1e-6)
    for a, b in zip(three(one), three(two), strict=True):
        assert likeness(a, b) > 0.97


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("plumb_bob", (-0.25, 0.06, 0.001, -0.002, 0.0)),
        ("equidistant", (-0.01, 0.003, 0.0, 0.0)),
    ],
)
def test_through_a_lens_that_distorts(
    photo_faces: dict[str, tuple[Frame, Face]], model: str, coefficients: tuple[float, ...]
) -> None:
    """The photograph as this lens would show it gives the crops of the undistorted one."""
    shot, face = photo_faces["grace_hopper"]
    straight = shot.camera
    lens = dataclasses.replace(straight, distortion=coefficients, distortion_model=model)
    x, y = np.meshgrid(np.arange(straight.width), np.arange(straight.height))
    pixels = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    origin = faces.undistort_points(lens, pixels) * (straight.fx, straight.fy)
    origin = (origin + (straight.cx, straight.cy)).astype(np.float32)
    maps = origin.reshape(straight.height, straight.width, 2)
    bent = cv2.remap(shot.image, maps[..., 0], maps[..., 1], cv2.INTER_CUBIC)
    landmarks = face.landmarks.copy()
    plane = faces.undistort_points(straight, landmarks[:, :2])
    landmarks[:, :2] = faces.project_points(lens, np.c_[plane, np.ones(len(plane))])
    one = crops(shot, face)
    two = make_gaze_crops(bent, lens, dataclasses.replace(face, landmarks=landmarks))
    assert two.rotation == pytest.approx(one.rotation, abs=1e-5)
    for a, b in zip(three(one), three(two), strict=True):
        assert likeness(a, b) > 0.97
    ignored = make_gaze_crops(bent, straight, dataclasses.replace(face, landmarks=landmarks))
    assert likeness(ignored.face, one.face) < likeness(two.face, one.face)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_half_outside_the_image_is_refused(
    photo_faces: dict[str, tuple[Frame, Face]], side: str
) -> None:
    shot, face = photo_faces["astronaut"]
    x, y = (int(v) for v in face.landmarks[:, :2].mean(axis=0))
    image = shot.image
    if side in ("left", "right"):
        part = image[:, x:] if side == "left" else image[:, :x]
    else:
        part = image[y:] if side == "top" else image[:y]
    move = (x if side == "left" else 0, y if side == "top" else 0, 0)
    cut = dataclasses.replace(face, landmarks=face.landmarks - np.float32(move))
    c = shot.camera
    camera = Camera(part.shape[1], part.shape[0], c.fx, c.fy, c.cx - move[0], c.cy - move[1])
    with pytest.raises(CropsUnavailable, match="outside the image"):
        make_gaze_crops(np.ascontiguousarray(part), camera, cut)


def test_what_cannot_be_seen_is_refused_and_says_why() -> None:
    image = np.zeros((1080, 1920, 3), np.uint8)
    middle = np.array([CAMERA.cx, CAMERA.cy])

    def refused(points: npt.NDArray[np.floating]) -> str:
        with pytest.raises(CropsUnavailable) as error:
            make_gaze_crops_from_points(image, CAMERA, points)
        return str(error.value)

    eyes = EYES * CAMERA.fx
    assert "far" in refused(eyes / 12 + middle)
    assert "near" in refused(eyes / 0.1 + middle)
    assert "profile" in refused(np.concatenate([eyes[:6] * (0.02, 1), eyes[6:]]) / 0.6 + middle)
    assert "no landmarks" in refused(np.full((12, 2), np.nan))
    assert "no landmarks" in refused(np.zeros((12, 2)))
    assert "outside" in refused(eyes / 0.6 + middle + (1200, 0))
    assert make_gaze_crops_from_points(image, CAMERA, eyes / 0.6 + middle).face.shape == (96, 96)
    with pytest.raises(ValueError, match="1920x1080"):
        make_gaze_crops_from_points(image[:720], CAMERA, eyes / 0.6 + middle)
