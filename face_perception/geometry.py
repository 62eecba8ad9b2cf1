"""Computes rotations and angles in the optical frame, the only convention in this package.

The optical frame of a camera has x to the right, y down and z forward (REP-103).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError

FloatArray = npt.NDArray[np.floating]


def smoothstep(x: npt.ArrayLike, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """Returns 0 for ``x`` <= ``low``, 1 for ``x`` >= ``high``, and a smooth ramp between them.

    The result has the shape of ``x``. The ramp is the cubic 3 t^2 - 2 t^3.
    """
    t = np.clip((np.asarray(x, np.float64) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def yaw_pitch(direction: FloatArray) -> tuple[float, float]:
    """Returns yaw and pitch, radians, of a unit vector [3] in the optical frame.

    Yaw is positive to the image's right, pitch is positive up. The vector (0, 0, -1), which points
    from the scene back along the optical axis, has yaw 0 and pitch 0. Returns NaN for NaN.
    """
    dx, dy, dz = (float(v) for v in direction)
    # min and max return NaN only if it is their first argument.
    return math.atan2(dx, -dz), math.asin(max(min(-dy, 1.0), -1.0))


def from_yaw_pitch(yaw: float, pitch: float) -> FloatArray:
    """Returns the unit vector [3] with a yaw and pitch, radians: the inverse of ``yaw_pitch``."""
    return np.array(
        [math.sin(yaw) * math.cos(pitch), -math.sin(pitch), -math.cos(yaw) * math.cos(pitch)],
        np.float64,
    )


def roll(rotation: FloatArray) -> float:
    """Returns the roll of a face frame, radians, positive clockwise in the image.

    ``rotation`` [3, 3] has the face's axes as columns, in the optical frame: x out of the face, y
    to the person's left, z up (REP-155). Roll is the rotation about x away from the position in
    which z is as upright as x allows.
    """
    (fx, _, ux), (fy, _, uy), (fz, _, uz) = rotation.tolist()
    # Upright is (0, -1, 0) without its component along x. Its cross product with x, (-fz, 0, fx),
    # points to the image's right for a face that looks at the camera.
    return math.atan2(uz * fx - ux * fz, fy * (ux * fx + uy * fy + uz * fz) - uy)


def angle_between(a: FloatArray, b: FloatArray) -> float:
    """Returns the angle between two vectors [3], radians in [0, pi]; NaN if one has length 0."""
    # Plain floats, because numpy is several times slower for so few numbers.
    (x, y, z), (u, v, w) = np.asarray(a).tolist(), np.asarray(b).tolist()
    if not math.hypot(x, y, z) * math.hypot(u, v, w) > 0:
        return math.nan
    # Precise for small angles too, unlike acos of the dot product.
    across = math.hypot(y * w - z * v, z * u - x * w, x * v - y * u)
    return math.atan2(across, x * u + y * v + z * w)


def all_finite(values: FloatArray) -> bool:
    """Returns whether all values of a small array are finite; faster than numpy's functions."""
    return all(map(math.isfinite, np.asarray(values).ravel().tolist()))


def quaternion(rotation: FloatArray) -> tuple[float, float, float, float]:
    """Returns the unit quaternion (x, y, z, w), w >= 0, of a rotation matrix [3, 3]."""
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(rotation, np.float64).tolist()
    # Divide by the largest of the four components, for precision.
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
    """Returns the rotation matrix [3, 3] of a quaternion, which need not have length 1.

    Raises InputError if all four components are 0.
    """
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 0:
        raise InputError("a quaternion of length 0 is not a rotation")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        np.float64,
    )
