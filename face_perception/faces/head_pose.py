"""Estimates the head pose of a face from its landmarks and the camera.

The model is MediaPipe's canonical face (google-ai-edge/mediapipe,
modules/face_geometry/data/canonical_face_model.obj, Apache-2.0, copyright The MediaPipe Authors),
reduced to the 33 rigid points of geometry_pipeline_metadata_landmarks.pbtxt.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.faces.undistort import undistort_points
from face_perception.geometry import yaw_pitch
from face_perception.types import Camera, HeadPose

FloatArray = npt.NDArray[np.floating]

# Landmarks and their positions on the canonical face, cm. x is to the person's left, y up and z out
# of the face.
# fmt: off
_RIGID = (
    (4, 0.0000, -0.4632, 7.5866),
    (6, 0.0000, 2.4733, 5.7886),
    (10, 0.0000, 8.2618, 4.4815),
    (33, -4.4459, 2.6640, 3.1734),
    (54, -6.2793, 6.6154, 1.4259),
    (67, -3.5240, 8.0060, 3.7292),
    (117, -5.2587, 0.9458, 2.9743),
    (119, -3.3007, 0.8616, 3.8728),
    (121, -1.8207, 1.4680, 4.2241),
    (127, -7.7431, 2.3650, -2.0052),
    (129, -1.7858, -0.9783, 4.8505),
    (132, -7.2709, -2.8909, -2.2525),
    (133, -1.8564, 2.5852, 3.7579),
    (136, -5.0853, -7.1786, 0.7147),
    (143, -6.4076, 2.2360, 1.5608),
    (147, -6.2349, -1.9444, 1.6635),
    (198, -1.2468, 0.2303, 5.6810),
    (205, -3.8329, -1.5373, 4.1377),
    (263, 4.4459, 2.6640, 3.1734),
    (284, 6.2793, 6.6154, 1.4259),
    (297, 3.5240, 8.0060, 3.7292),
    (346, 5.2587, 0.9458, 2.9743),
    (348, 3.3007, 0.8616, 3.8728),
    (350, 1.8207, 1.4680, 4.2241),
    (356, 7.7431, 2.3650, -2.0052),
    (358, 1.7858, -0.9783, 4.8505),
    (361, 7.2709, -2.8909, -2.2525),
    (362, 1.8564, 2.5852, 3.7579),
    (365, 5.0853, -7.1786, 0.7147),
    (372, 6.4076, 2.2360, 1.5608),
    (376, 6.2349, -1.9444, 1.6635),
    (420, 1.2468, 0.2303, 5.6810),
    (425, 3.8329, -1.5373, 4.1377),
)
# fmt: on
_SELLION_CM = (0.0, 3.2710, 5.2360)  # landmark 168 of the canonical face

# In the axes of the canonical face, people who face the lens have a pitch of about -3 degrees. The
# face frame is rotated up by this angle about its y axis, so that a straight head has pitch 0.
# Fitted to 14 of the 16 sample pictures of AFLW2000-3D in PRNet's repository, with the camera of
# ``plausible_camera`` (an angle of 6 degrees leaves a mean error of 3.4 +- 1.4 degrees). Checked on
# 118 people of CK+ who face the lens, with one picture each: the median pitch is 0.2 degrees with
# an angle of 3 degrees, and 3.2 degrees with an angle of 6.
NEUTRAL_PITCH = math.radians(3.0)
# Angle by which ``landmark_frame`` is rotated up from the canonical face.
_LANDMARK_PITCH = math.radians(6.0)

# Focal length of the camera that the solver gets. Its stopping rules are made for pixels.
_FOCAL = 1000.0
# Largest reprojection error, as a share of the spread of the points. It is about 0.1 on real faces
# and about 1 if the search ended in a wrong minimum.
_MAX_MISS = 0.4
_MATRIX = np.diag([_FOCAL, _FOCAL, 1.0])


def _face_frame() -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Returns the indices [33] and positions [33, 3], metres, of rigid points in the face frame."""
    table = np.array(_RIGID)
    x, y, z = ((table[:, 1:] - _SELLION_CM) / 100).T
    c, s = math.cos(NEUTRAL_PITCH), math.sin(NEUTRAL_PITCH)
    return table[:, 0].astype(np.intp), np.stack([c * z + s * y, x, c * y - s * z], 1)


RIGID_POINTS, _MODEL = _face_frame()


def _turn_up(angle: float) -> FloatArray:
    """Returns the rotation [3, 3] about y that raises the x axis by ``angle`` radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


_LEFT_UP_OUT = [1, 2, 0]  # order of the face frame's axes: y (left), z (up), x (out)
_TO_LANDMARK_FRAME = _turn_up(_LANDMARK_PITCH - NEUTRAL_PITCH)


def landmark_frame(pose: HeadPose) -> FloatArray:
    """Returns the rotation [3, 3], optical frame, of the frame that landmarks are measured in.

    Constants that were fitted to landmarks (of eyeballs, lids and action units) are in this frame.
    Its axes are those of the face frame at another pitch, so that these constants do not depend on
    ``NEUTRAL_PITCH``.
    """
    rotation: FloatArray = pose.rotation @ _TO_LANDMARK_FRAME
    return rotation


def head_pose(
    camera: Camera, landmarks: FloatArray, last: HeadPose | None = None
) -> HeadPose | None:
    """Returns the pose of a head of average size with ``landmarks`` [478, 3], seen by ``camera``.

    ``last`` is the pose in the previous image, at which the search then starts. Returns None if no
    pose fits the landmarks. Raises InputError for an unknown distortion model of the lens.
    """
    points = undistort_points(camera, landmarks[RIGID_POINTS, :2]) * _FOCAL
    if not np.isfinite(points).all():
        return None
    if last is not None:
        pose = _refine(points, cv2.Rodrigues(last.rotation)[0], last.position.reshape(3, 1))
        if pose is not None:
            return pose
    try:
        found, turn, place = cv2.solvePnP(_MODEL, points, _MATRIX, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:  # all landmarks in one place, or on one line
        return None
    return _refine(points, turn, place) if found else None


def landmark_yaw_pitch(pose: HeadPose) -> tuple[float, float]:
    """Returns yaw and pitch, radians, of the x axis of ``landmark_frame``."""
    return yaw_pitch(landmark_frame(pose)[:, 0])


def _refine(points: FloatArray, turn: FloatArray, place: FloatArray) -> HeadPose | None:
    """Returns the pose with the least reprojection error near a first guess.

    ``points`` [33, 2] are pixels of the camera ``_MATRIX``; ``turn`` (Rodrigues) and ``place`` are
    the guess. Returns None if the result is impossible.
    """
    try:
        found, turn, place = cv2.solvePnP(
            _MODEL, points, _MATRIX, None, turn.copy(), place.copy(), True, cv2.SOLVEPNP_ITERATIVE
        )
    except cv2.error:
        return None
    if not found or not np.isfinite(turn).all() or not np.isfinite(place).all():
        return None
    rotation = cv2.Rodrigues(turn)[0]
    # The head is behind the camera, or shows its back (a mirrored solution).
    if place[2, 0] <= 0 or rotation[:, 0] @ place[:, 0] >= 0:
        return None
    expected = _MODEL @ rotation.T + place[:, 0]
    missed = (points - _FOCAL * expected[:, :2] / expected[:, 2:]).ravel()
    spread = (points - np.add.reduce(points, axis=0) / len(points)).ravel()
    if missed @ missed > _MAX_MISS**2 * (spread @ spread):
        return None
    return HeadPose(place[:, 0].copy(), rotation)


def rotate_to_frontal(landmarks: FloatArray, pose: HeadPose) -> FloatArray:
    """Returns landmarks [N, 3] as those of an upright face seen from straight ahead, float64.

    The result is in pixels of the image, relative to the mean of the landmarks: x to the person's
    left, y up, z out of the face. The landmarks of the mesh are relative to the line of sight
    through the face, so the rotation of the head against that line is undone.
    """
    x, y, z = pose.position.tolist()
    away = math.hypot(x, y, z)
    x, y, z = x / away, y / away, z / away
    level = math.hypot(x, z)
    # Rows: right and down as seen along the line of sight, then the line of sight itself.
    view = np.array(
        [[z / level, 0.0, -x / level], [-x * y / level, level, -y * z / level], [x, y, z]]
    )
    centred = np.asarray(landmarks, np.float64)
    centred = centred - np.add.reduce(centred, axis=0) / len(centred)
    return np.asarray(centred @ (view @ landmark_frame(pose))[:, _LEFT_UP_OUT])
