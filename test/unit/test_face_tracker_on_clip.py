"""Tests the tracker on a clip, against MediaPipe's own FaceMesh (test/data/make_yongen_mesh.py)."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from face_perception.faces import LEFT_IRIS_CENTRE, RIGHT_IRIS_CENTRE, load_tracker
from face_perception.types import Camera, Face, Frame

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def tracked() -> list[list[Face]]:
    clip = cv2.VideoCapture(str(DATA / "yongen.mp4"))
    tracker = load_tracker()
    result = []
    while True:
        read, bgr = clip.read()
        if not read:
            return result
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        camera = Camera.assume(image.shape[1], image.shape[0])
        result.append(tracker.track(Frame(image, len(result) / 25, camera)))


def test_one_face_under_one_id(tracked):
    assert len(tracked) == 268
    ids = Counter(face.face_id for faces in tracked for face in faces)
    assert list(ids) == ["face_1"]
    assert ids["face_1"] == len(tracked)


def test_landmarks_are_those_of_mediapipe(tracked):
    golden = np.load(DATA / "yongen_mesh.npz")
    errors = []
    for number, points in zip(golden["frames"], golden["landmarks"], strict=True):
        expected = points / golden["steps_per_pixel"]
        interocular = np.linalg.norm(expected[RIGHT_IRIS_CENTRE] - expected[LEFT_IRIS_CENTRE])
        (face,) = tracked[number]
        apart = np.linalg.norm(face.landmarks[:, :2] - expected, axis=1)
        errors.append(np.median(apart) / interocular)
    assert len(errors) == 34
    assert np.median(errors) < 0.002
    # In the first image MediaPipe runs its mesh once, in the square of its detector. The tracker
    # repeats the mesh until it settles.
    assert max(errors[1:]) < 0.01


def test_blinks_close_both_eyes_and_only_then(tracked):
    openness = np.array(
        [(faces[0].left_eye_openness, faces[0].right_eye_openness) for faces in tracked[2:]]
    )
    both = openness.mean(axis=1)
    frame = np.arange(2, 2 + len(both))
    closed = both < 0.6
    begins = frame[1:][closed[1:] & ~closed[:-1]]
    np.testing.assert_allclose(begins, [53, 111, 132, 257], atol=2)
    assert both[(frame >= 30) & (frame <= 45)].min() > 0.85
    assert both[(frame >= 170) & (frame <= 180)].min() > 0.85


def test_head_pose_is_steady(tracked):
    angles = np.degrees([(f.pose.yaw, f.pose.pitch, f.pose.roll) for (f,) in tracked[2:]])
    # Second differences remove slow movement and leave noise.
    assert (np.std(np.diff(angles, 2, axis=0), axis=0) / 6**0.5 < 0.3).all()
