"""Measures, on rendered frames, how far a portrait's irises must move to show a gaze angle.

Also measures how much of a head turn a warped flat picture shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.portrait.anatomy import Anatomy
from face_perception.avatar.portrait.eye_painting import read_gaze
from face_perception.avatar.portrait.idle_motion import HEAD_SHARE
from face_perception.faces import FaceTracker
from face_perception.types import Camera, Face, Frame, Image

FloatArray = npt.NDArray[np.floating]

# Gaze angles that are measured, radians: large enough to exceed the noise of the landmarks.
_YAW, _PITCH = 0.26, 0.15
_LEAST, _MOST = 0.7, 2.2  # limits of the gain
_TURN = 0.1  # head turn that is measured, radians
_HEAD_LIMITS = (0.1, 0.8)
_UNREAD = 0.1  # share of the angle; if less is read, the landmarks do not follow the irises


def measure_iris_gain(
    render: Callable[[FaceState], Image],
    tracker: FaceTracker,
    face: Anatomy,
    gaze: FloatArray,
    head_gain: FloatArray,
    now: FloatArray,
) -> FloatArray:
    """Returns ``PaintedEye.iris_gain`` [2, 2] for the eyes of a portrait.

    - ``render``: renders the portrait with the gain ``now`` [2, 2].
    - ``gaze`` [2]: yaw and pitch of the gaze in the picture, radians.
    - ``head_gain`` [2]: as from ``measure_head_gain``.

    The landmarks follow dark eyes and eyes behind glasses less than others, and on a turned head
    less to one side than to the other. The head therefore turns along, as that of
    ``IdleMotionAnimator`` does. A direction that cannot be read keeps the gain ``now``.
    """
    rest = _gaze_in(render(FaceState()), tracker, face)
    out = now.copy()
    if rest is None:
        return out
    for axis, side, turn in (
        (0, 0, (_YAW, 0.0)),
        (0, 1, (-_YAW, 0.0)),
        (1, 0, (0.0, -_PITCH)),
        (1, 1, (0.0, _PITCH)),
    ):
        head = HEAD_SHARE * np.array(turn)
        state = FaceState(
            gaze_yaw=float(gaze[0]) + turn[0],
            gaze_pitch=float(gaze[1]) + turn[1],
            head_yaw=float(head[0]),
            head_pitch=float(head[1]),
        )
        seen = _gaze_in(render(state), tracker, face)
        if seen is None:
            continue
        eyes = turn[axis] - float(head_gain[axis] * head[axis])
        share = 1 - (turn[axis] - float((seen - rest)[axis])) / eyes
        if share > _UNREAD:
            out[axis, side] = np.clip(out[axis, side] / share, _LEAST, _MOST)
    return out


def measure_head_gain(
    render: Callable[[FaceState], Image], tracker: FaceTracker
) -> FloatArray | None:
    """Returns the share of a head turn that the rendered picture shows, for yaw and pitch [2].

    None if no head pose is found in a rendered frame.
    """
    shares = []
    for yaw, pitch in ((_TURN, 0.0), (0.0, _TURN)):
        angles = []
        for sign in (1, -1):
            state = FaceState(head_yaw=sign * yaw, head_pitch=sign * pitch)
            found = _face(render(state), tracker)
            if found is None or found.pose is None:
                return None
            angles.append(found.pose.yaw if yaw else found.pose.pitch)
        shares.append((angles[0] - angles[1]) / (2 * _TURN))
    return np.asarray(np.clip(shares, *_HEAD_LIMITS))


def _face(image: Image, tracker: FaceTracker) -> Face | None:
    height, width = image.shape[:2]
    found = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)), max_faces=1)
    return found[0] if found else None


def _gaze_in(image: Image, tracker: FaceTracker, face: Anatomy) -> FloatArray | None:
    found = _face(image, tracker)
    if found is None or found.pose is None:
        return None
    return read_gaze(face, found.landmarks, faces.landmark_yaw_pitch(found.pose))
