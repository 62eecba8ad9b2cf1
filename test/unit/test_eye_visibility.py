"""Tests that eyes behind dark glasses or glare are found to be hidden, on a photograph."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from faces_scene import photo

from face_perception import faces
from face_perception.faces import FaceTracker
from face_perception.faces.eye_visibility import EyeVisibility, eye_visibility
from face_perception.gaze import GeometricGaze
from face_perception.types import Camera, Eyes, Face, Frame, Gaze, Image

EYES = (faces.LEFT_EYE_UPPER, faces.LEFT_EYE_LOWER), (faces.RIGHT_EYE_UPPER, faces.RIGHT_EYE_LOWER)


def seen(tracker: FaceTracker, image: Image) -> tuple[Face, Gaze]:
    camera = Camera.assume(image.shape[1], image.shape[0])
    (face,) = tracker.detect(Frame(image, 0.0, camera))
    return face, GeometricGaze().estimate(camera, face, 0.0)


def covered(image: Image, face: Face, gray: int, eyes: int = 2) -> Image:
    """Returns the picture with a round gray glass over this many eyes, the left one first."""
    out = image.copy()
    for upper, lower in EYES[:eyes]:
        points = face.landmarks[[*upper, *lower], :2]
        centre, size = points.mean(axis=0), np.ptp(points[:, 0])
        centre = tuple(int(v) for v in centre)
        cv2.circle(out, centre, int(0.95 * size), (gray, gray, gray), -1, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_eyes_in_plain_sight(tracker: FaceTracker, name: str) -> None:
    face, gaze = seen(tracker, photo(name))
    assert min(face.left_eye_visibility, face.right_eye_visibility) > 0.8
    assert gaze.eyes == Eyes.OPEN
    assert gaze.valid


@pytest.mark.parametrize("gray", [15, 250], ids=["dark glasses", "glare"])
def test_hidden_eyes_say_nothing(tracker: FaceTracker, gray: int) -> None:
    image = photo("astronaut")
    face, plain = seen(tracker, image)
    hidden, gaze = seen(tracker, covered(image, face, gray))
    assert max(hidden.left_eye_visibility, hidden.right_eye_visibility) < 0.25
    assert (gaze.eyes, gaze.valid, gaze.confidence) == (Eyes.UNKNOWN, False, 0.0)
    patch, one = seen(tracker, covered(image, face, gray, eyes=1))
    assert patch.left_eye_visibility < 0.25 < 0.7 < patch.right_eye_visibility
    assert one.valid, "the other eye is seen"
    assert one.confidence < 0.8 * plain.confidence
    assert one.yaw_sigma > plain.yaw_sigma


def test_light_changes_little_and_blur_lowers_the_confidence(tracker: FaceTracker) -> None:
    image = photo("astronaut")
    _, plain = seen(tracker, image)
    dim, _ = seen(tracker, (image * 0.3).astype(np.uint8))
    assert min(dim.left_eye_visibility, dim.right_eye_visibility) > 0.7
    _, blurred = seen(tracker, cv2.GaussianBlur(image, (0, 0), 6))
    assert blurred.confidence < 0.7 * plain.confidence


def test_an_eye_outside_the_image_is_not_estimated(tracker: FaceTracker) -> None:
    image = photo("astronaut")
    face, _ = seen(tracker, image)
    landmarks = face.landmarks.copy()
    landmarks[:, 0] -= landmarks[faces.RIGHT_INNER_CANTHUS, 0]
    left, right = eye_visibility(image, landmarks)
    assert np.isnan(right)
    assert np.isfinite(left)
    landmarks[:] = -10
    assert np.isnan(eye_visibility(image, landmarks)).all()


def test_one_dark_image_does_not_hide_an_eye() -> None:
    smooth = EyeVisibility()
    assert smooth.update(np.array([0.9, np.nan]), 0.0)[0] == 0.9
    assert smooth.update(np.array([0.0, 0.8]), 0.033) == pytest.approx([0.76, 0.8], abs=0.01)
    for k in range(30):
        last = smooth.update(np.array([0.0, 0.8]), 0.066 + k / 30)
    assert last == pytest.approx([0.0, 0.8], abs=0.02)
