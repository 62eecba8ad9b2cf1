"""Rotations and angles in the optical frame, by the package's one convention; a smooth step.

No images.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError

FloatArray = npt.NDArray[np.floating]


def smoothstep(x: npt.ArrayLike, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """0 up to ``low``, 1 from ``high`` on, and without a corner in between; of ``x``'s shape."""
    t = np.clip((np.asarray(x, np.float64) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def yaw_pitch(direction: FloatArray) -> tuple[float, float]:
    """Yaw and pitch, radians, of a unit vector [3] in the optical frame.

    Yaw is positive towards image right, pitch positive up; (0, 0) points back at the camera along
    its axis.
    """
    dx, dy, dz = (float(v) for v in direction)
    # The value first: so ordered, min and max hand on NaN.
    return math.atan2(dx, -dz), math.asin(max(min(-dy, 1.0), -1.0))


def from_yaw_pitch(yaw: float, pitch: float) -> FloatArray:
    """The unit vector [3] that has this yaw and pitch: inverse of ``yaw_pitch``."""
    return np.array(
        [math.sin(yaw) * math.cos(pitch), -math.sin(pitch), -math.cos(yaw) * math.cos(pitch)],
        np.float64,
    )


def roll(rotation: FloatArray) -> float:
    """Roll, radians, of a face frame: positive clockwise in the image.

    ``rotation`` [3, 3] has the face's axes as columns (x out of the face, z up). Measured about x
    from the position in which z is as upright as that x allows.
    """
    (fx, _, ux), (fy, _, uy), (fz, _, uz) = rotation.tolist()
    # The upright direction is (0, -1, 0) less its part along forward; its cross product with
    # forward, (-fz, 0, fx), is image right for a face that looks at the camera.
    return math.atan2(uz * fx - ux * fz, fy * (ux * fx + uy * fy + uz * fz) - uy)


def angle_between(a: FloatArray, b: FloatArray) -> float:
    """Angle, radians in [0, pi], between two vectors [3]; NaN where either has no length."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not norm > 0:
        return math.nan
    # atan2 of cross and dot keeps its precision for small angles, where acos has none.
    return math.atan2(float(np.linalg.norm(np.cross(a, b))), float(np.dot(a, b)))


def quaternion(rotation: FloatArray) -> tuple[float, float, float, float]:
    """Unit quaternion (x, y, z, w), w >= 0, of a rotation matrix [3, 3]."""
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(rotation, np.float64).tolist()
    # The largest of the four squared components is the safe one to divide by.
    squares = (1 + a - e - i, 1 + e - a - i, 1 + i - a - e, 1 + a + e + i)
    x, y, z, w = (
        (squares[0], d + b, g + c, h - f),
        (d + b, squares[1], h + f, c - g),
        (g + c, h + f, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )[squares.index(max(squares))]
    norm = math.copysign(math.hypot(x, y, z, w), w)
    return x / norm, y / norm, z / norm, w / norm


def rotation_matrix(x: float, y: float, z: float, w: float) -> FloatArray:
    """Rotation matrix [3, 3] of a quaternion, normalised first.

    Raises InputError for a zero quaternion.
    """
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 0:
        raise InputError("a quaternion of length zero is no rotation")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        np.float64,
    )
