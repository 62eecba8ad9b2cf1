"""Rotations and angles in the optical frame, by the package's one convention; a smooth step.

No images.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_UP = np.array([0.0, -1.0, 0.0])


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
    forward, up = rotation[:, 0], rotation[:, 2]
    upright = _UP - (_UP @ forward) * forward
    right = np.cross(upright, forward)  # image right for a face that looks at the camera
    return math.atan2(float(up @ right), float(up @ upright))


def angle_between(a: FloatArray, b: FloatArray) -> float:
    """Angle, radians in [0, pi], between two vectors [3]; NaN where either has no length."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not norm > 0:
        return math.nan
    # atan2 of cross and dot keeps its precision for small angles, where acos has none.
    return math.atan2(float(np.linalg.norm(np.cross(a, b))), float(np.dot(a, b)))


def quaternion(rotation: FloatArray) -> tuple[float, float, float, float]:
    """Unit quaternion (x, y, z, w), w >= 0, of a rotation matrix [3, 3]."""
    m = np.asarray(rotation, np.float64)
    # The largest of the four squared components is the safe one to divide by.
    squares = 1 + np.array(
        [
            m[0, 0] - m[1, 1] - m[2, 2],
            m[1, 1] - m[0, 0] - m[2, 2],
            m[2, 2] - m[0, 0] - m[1, 1],
            np.trace(m),
        ]
    )
    k = int(np.argmax(squares))
    q = np.array(
        [
            [squares[0], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], squares[1], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], squares[2], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3]],
        ]
    )[k]
    q = q / np.linalg.norm(q)
    if q[3] < 0:
        q = -q
    x, y, z, w = (float(v) for v in q)
    return x, y, z, w


def rotation_matrix(x: float, y: float, z: float, w: float) -> FloatArray:
    """Rotation matrix [3, 3] of a quaternion, normalised first.

    Raises ValueError for a zero quaternion.
    """
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 0:
        raise ValueError("a quaternion of length zero is no rotation")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        np.float64,
    )
