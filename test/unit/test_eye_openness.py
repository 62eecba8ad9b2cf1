import numpy as np
import pytest

from face_perception.faces import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    landmark_frame,
)
from face_perception.faces.eye_openness import EyeOpenness, eye_aspect_ratios
from face_perception.types import HeadPose


def face(left: float, right: float) -> np.ndarray:
    """Returns landmarks of eyes 40 px wide, whose lids are apart by these shares of the width."""
    landmarks = np.zeros((478, 3), np.float32)
    for upper, lower, middle, opening in (
        (LEFT_EYE_UPPER, LEFT_EYE_LOWER, 250.0, left),
        (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER, 150.0, right),
    ):
        x = middle + np.linspace(-20, 20, 9)
        half = np.full(9, 20 * opening)
        half[[0, -1]] = 0  # the lids meet in the canthi
        landmarks[upper, 0], landmarks[upper, 1] = x, 100 - half
        landmarks[lower, 0], landmarks[lower, 1] = x, 100 + half
    return landmarks


def run(opened, stamps, eyes=None):
    eyes = eyes or EyeOpenness()
    return np.array([eyes.update(np.array([o, o]), t) for o, t in zip(opened, stamps, strict=True)])


def test_aspect_ratio_left_then_right():
    np.testing.assert_allclose(eye_aspect_ratios(face(0.3, 0.1), None), (0.3, 0.1), rtol=1e-5)


def test_a_turned_head_has_the_same_ratio():
    a, b = np.radians(40), np.radians(15)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    straight = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])  # axes of the face: out, left, up
    landmarks = (face(0.3, 0.2) @ turn.T).astype(np.float32)
    raw = eye_aspect_ratios(landmarks, None)
    assert abs(raw[0] - 0.3) > 0.05
    from_landmark_frame = landmark_frame(HeadPose(np.zeros(3), np.eye(3))).T
    pose = HeadPose(np.array([0.0, 0.0, 1.0]), turn @ straight @ from_landmark_frame)
    np.testing.assert_allclose(eye_aspect_ratios(landmarks, pose), (0.3, 0.2), rtol=1e-4)


def test_points_that_coincide_give_nan():
    assert np.isnan(eye_aspect_ratios(np.zeros((478, 3), np.float32), None)).all()


def test_defined_from_the_first_image():
    eyes = EyeOpenness()
    np.testing.assert_allclose(eyes.update(np.array([0.28, 0.14]), 5.0), (1.0, 0.5))


@pytest.mark.parametrize("opened", [0.2, 0.35, 0.42])
def test_an_open_eye_becomes_one(opened):
    found = run([opened] * 150, np.arange(150) / 30)
    np.testing.assert_allclose(found[-1], 1, atol=0.06)


def test_a_blink_does_not_move_the_level():
    opened = [0.3] * 90 + [0.05] * 6 + [0.3] * 30
    found = run(opened, np.arange(len(opened)) / 30)
    assert found[92].max() < 0.2
    np.testing.assert_allclose(found[96:], 1, atol=0.03)


def test_eyes_closed_for_a_minute_stay_closed():
    opened = [0.3] * 60 + [0.08] * 1800 + [0.3]
    found = run(opened, np.arange(len(opened)) / 30)
    assert found[60:-1].max() < 0.3
    np.testing.assert_allclose(found[-1], 1, atol=0.03)


def test_closed_from_the_beginning_is_closed():
    found = run([0.08] * 300, np.arange(300) / 30)
    assert found.max() < 0.35


def test_nan_and_a_pause_change_nothing():
    eyes = EyeOpenness()
    before = run([0.3] * 100, np.arange(100) / 30, eyes)[-1]
    assert np.isnan(eyes.update(np.full(2, np.nan), 4.0)).all()
    after = eyes.update(np.array([0.3, 0.3]), 400.0)
    np.testing.assert_allclose(after, before, atol=0.01)
