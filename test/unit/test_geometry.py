import math

import numpy as np
import pytest

from face_perception import geometry


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.4, 0.2), (-1.2, -0.7), (3.0, 0.1)])
def test_yaw_and_pitch_invert(yaw: float, pitch: float) -> None:
    direction = geometry.from_yaw_pitch(yaw, pitch)
    assert np.linalg.norm(direction) == pytest.approx(1)
    assert geometry.yaw_pitch(direction) == pytest.approx((yaw, pitch))


def test_signs() -> None:
    assert geometry.yaw_pitch(np.array([0.0, 0.0, -1.0])) == (0.0, 0.0)
    assert geometry.yaw_pitch(np.array([0.6, 0.0, -0.8]))[0] > 0, "image right is positive yaw"
    assert geometry.yaw_pitch(np.array([0.0, -0.6, -0.8]))[1] > 0, "up is positive pitch"


def test_no_direction_has_no_angles() -> None:
    assert all(math.isnan(angle) for angle in geometry.yaw_pitch(np.full(3, math.nan)))


def frontal(roll: float) -> np.ndarray:
    """Returns the face frame of a face that looks at the camera, tilted clockwise in the image."""
    up = np.array([math.sin(roll), -math.cos(roll), 0.0])
    forward = np.array([0.0, 0.0, -1.0])
    return np.stack([forward, np.cross(up, forward), up], axis=1)


@pytest.mark.parametrize("roll", [0.0, 0.3, -0.9])
def test_roll_is_clockwise_in_the_image(roll: float) -> None:
    rotation = frontal(roll)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert geometry.roll(rotation) == pytest.approx(roll)


def test_quaternions_invert() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        q = rng.normal(size=4)
        q /= np.linalg.norm(q) * np.sign(q[3])
        assert geometry.quaternion(geometry.rotation_matrix(*q)) == pytest.approx(tuple(q))
    # The quaternion of a half turn has no real part, by which the textbook formula divides.
    for axis in np.eye(3):
        q = np.array([*axis, 0.0])
        back = np.array(geometry.quaternion(geometry.rotation_matrix(*q)))
        assert abs(back @ q) == pytest.approx(1)


def test_no_rotation_from_nothing() -> None:
    with pytest.raises(ValueError, match="length 0"):
        geometry.rotation_matrix(0, 0, 0, 0)


def test_small_angles_keep_their_precision() -> None:
    a = np.array([0.0, 0.0, -1.0])
    b = geometry.from_yaw_pitch(1e-7, 0)
    assert geometry.angle_between(a, b) == pytest.approx(1e-7)
    assert math.isnan(geometry.angle_between(a, np.zeros(3)))
    assert geometry.angle_between([2.0, 0.0, 0.0], [0.0, 1.0, 0.0]) == pytest.approx(math.pi / 2)
