"""The normalized camera of a face: a virtual camera that faces the eyes and is level with them.

Gaze is calibrated, and estimated by networks, as yaw and pitch in this camera: its angles depend
neither on where the face is in the image nor on the roll of the head.

Source: Chen and Shi, "Towards High Performance Low Complexity Calibration in Appearance Based Gaze
Estimation", TPAMI 2022, with the rotation of Zhang, Sugano and Bulling, "Revisiting Data
Normalization for Appearance-Based Gaze Estimation", ETRA 2018, without its change of distance.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception import faces, geometry
from face_perception.types import Camera, Face, FloatArray

# Six points of the right eye (36 to 41), then of the left one (42 to 47): its canthi and two points
# on each lid.
_EYES = faces.POINTS_68[36:48]


def eye_points(landmarks: FloatArray) -> FloatArray:
    """Returns the 12 points of the eyes, float64 [12, 2] pixels, from landmarks [478, 3].

    They are points 36 to 47 of the 68-point convention, which published networks were trained with:
    right eye 33, 160, 158, 133, 153, 144 and left eye 362, 385, 387, 263, 373, 380 of the mesh.
    """
    return np.asarray(landmarks[_EYES, :2], np.float64)


def rotation_facing_eyes(plane: npt.ArrayLike) -> FloatArray:
    """Returns the rotation [3, 3] of the normalized camera, from the points of the eyes.

    ``plane`` [12, 2] are the points of ``eye_points`` on the plane z = 1 of the optical frame, as
    ``faces.undistort_points`` returns them. The columns of the result are the axes of the
    normalized camera in the optical frame: right (from the person's right eye to the left one),
    down, and forward (to the middle of the 12 points). So ``rotation @ v`` turns a vector from the
    normalized camera into the optical frame, and ``rotation.T @ v`` turns it back. Returns NaN if a
    point is not finite or the eyes coincide.
    """
    eyes = np.add.reduce(np.asarray(plane, np.float64).reshape(2, 6, 2), axis=1) / 6
    # Plain floats, because numpy is slower for so few numbers.
    (right_x, right_y), (left_x, left_y) = eyes.tolist()
    if not math.isfinite(right_x + right_y + left_x + left_y):
        return np.full((3, 3), np.nan)
    forward = (right_x + left_x) / 2, (right_y + left_y) / 2, 1.0
    down = _cross(forward, (left_x - right_x, left_y - right_y, 0.0))
    right = _cross(down, forward)
    lengths = [math.hypot(*axis) for axis in (right, down, forward)]
    # The axes of eyes that nearly coincide would be rounding errors.
    if min(lengths) <= 1e-9:
        return np.full((3, 3), np.nan)
    rotation: FloatArray = np.array((right, down, forward)).T / lengths
    return rotation


_Vector = tuple[float, float, float]


def _cross(a: _Vector, b: _Vector) -> _Vector:
    (x, y, z), (u, v, w) = a, b
    return y * w - z * v, z * u - x * w, x * v - y * u


def normalized_camera_rotation(camera: Camera, face: Face) -> FloatArray:
    """Returns the rotation [3, 3] of the normalized camera of ``face``, seen by ``camera``.

    The columns are its axes right, down and forward in the optical frame; see
    ``rotation_facing_eyes``. Returns NaN if a landmark of the eyes is not finite. Raises InputError
    for an unknown distortion model of the lens.
    """
    return rotation_facing_eyes(faces.undistort_points(camera, eye_points(face.landmarks)))


def to_normalized_angles(rotation: FloatArray, direction: FloatArray) -> tuple[float, float]:
    """Returns yaw and pitch, radians, of a direction in the normalized camera.

    ``rotation`` [3, 3] is that of the normalized camera, ``direction`` [3] a unit vector in the
    optical frame. With (dx, dy, dz) in the normalized camera, yaw = atan2(dx, -dz), positive to the
    right, and pitch = asin(-dy), positive up. A look at the lens has yaw 0 and pitch 0. Returns NaN
    for NaN.

    The published GEDDnet writes gaze as a vector (sin yaw cos pitch, sin pitch, cos yaw cos pitch)
    in the opposite direction: it has the same pitch, and yaw with the opposite sign.
    """
    return geometry.yaw_pitch(rotation.T @ direction)


def from_normalized_angles(rotation: FloatArray, yaw: float, pitch: float) -> FloatArray:
    """Returns the unit vector [3] in the optical frame with this yaw and pitch, radians.

    It is the inverse of ``to_normalized_angles``.
    """
    direction: FloatArray = rotation @ geometry.from_yaw_pitch(yaw, pitch)
    return direction
