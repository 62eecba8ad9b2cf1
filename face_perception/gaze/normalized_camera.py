"""The normalised camera of a face: a camera turned so that it faces the eyes, and angles in it.

In it a gaze that misses the same point by the same angle has the same yaw and pitch wherever the
face is in the image and however the head is tilted. Geometry only: no pixels, no estimator.

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

# Right eye (36 to 41), then left (42 to 47): both canthi, and on each lid the two points at about a
# third and two thirds of the way between them, along the upper lid and back along the lower one.
_EYES = faces.POINTS_68[36:48]


def eye_points(landmarks: FloatArray) -> FloatArray:
    """The 12 points about the eyes, float64 [12, 2] pixels, of landmarks [478, 3].

    They are those of the 68-point convention (36 to 47) that published networks were trained with:
    right eye 33, 160, 158, 133, 153, 144; left eye 362, 385, 387, 263, 373, 380 of the mesh.
    """
    return np.asarray(landmarks[_EYES, :2], np.float64)


def rotation_facing_eyes(plane: npt.ArrayLike) -> FloatArray:
    """Rotation [3, 3] of the camera that faces the eyes, from their 12 points on the plane z = 1.

    ``plane`` [12, 2] as from ``faces.undistort_points``, in the order of ``eye_points``. The columns are
    the axes of the normalised camera in the optical frame: right, along the line from the person's
    right eye to the left one (image right); down; forward, to the middle of the 12 points. So
    ``rotation @ v`` takes v from the normalised camera to the optical frame, and its transpose
    back. All NaN where the points are not finite or the eyes coincide.
    """
    eyes = np.asarray(plane, np.float64).reshape(2, 6, 2).mean(axis=1)
    # Numbers from here on: numpy takes longer for so few.
    (right_x, right_y), (left_x, left_y) = eyes.tolist()
    if not math.isfinite(right_x + right_y + left_x + left_y):
        return np.full((3, 3), np.nan)
    forward = (right_x + left_x) / 2, (right_y + left_y) / 2, 1.0
    down = _cross(forward, (left_x - right_x, left_y - right_y, 0.0))
    right = _cross(down, forward)
    lengths = [math.hypot(*axis) for axis in (right, down, forward)]
    # Eyes that nearly coincide would give an axis made of rounding errors.
    if min(lengths) <= 1e-9:
        return np.full((3, 3), np.nan)
    rotation: FloatArray = np.stack([right, down, forward], axis=1) / lengths
    return rotation


_Vector = tuple[float, float, float]


def _cross(a: _Vector, b: _Vector) -> _Vector:
    (x, y, z), (u, v, w) = a, b
    return y * w - z * v, z * u - x * w, x * v - y * u


def normalized_camera_rotation(camera: Camera, face: Face) -> FloatArray:
    """Rotation [3, 3] of the normalised camera of ``face``, from its landmarks seen by ``camera``.

    The columns are its axes right, down, forward in the optical frame; see ``rotation_facing_eyes``.
    The lens distortion is undone. All NaN where the landmarks about the eyes are not finite.
    Raises InputError for an unknown lens distortion.
    """
    return rotation_facing_eyes(faces.undistort_points(camera, eye_points(face.landmarks)))


def to_normalized_angles(rotation: FloatArray, direction: FloatArray) -> tuple[float, float]:
    """Yaw and pitch, radians, in the normalised camera of a unit vector [3] in the optical frame.

    The package's convention, read in the normalised camera: yaw = atan2(dx, -dz), positive to the
    face's image right; pitch = asin(-dy), positive up; (0, 0) looks at the lens. NaN hands on.

    Networks that follow the published GEDDnet write gaze as a vector (sin yaw cos pitch, sin pitch,
    cos yaw cos pitch) that points against it: their pitch is this pitch, their yaw is minus this.
    """
    return geometry.yaw_pitch(rotation.T @ direction)


def from_normalized_angles(rotation: FloatArray, yaw: float, pitch: float) -> FloatArray:
    """The unit vector [3], optical frame, that has this yaw and pitch: inverse of ``to_normalized_angles``."""
    direction: FloatArray = rotation @ geometry.from_yaw_pitch(yaw, pitch)
    return direction
