"""How far one portrait's irises have to go to be read right, and how much of a turn of its head is
seen: measured on what it renders.
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

# A look that is measured, radians: far enough to stand out from the landmarks' noise.
_YAW, _PITCH = 0.26, 0.15
_LEAST, _MOST = 0.7, 2.2
_TURN = 0.1  # of the head
_HEAD_LIMITS = (0.1, 0.8)
_UNREAD = 0.1  # of the way: landmarks that do not follow say nothing about how far to go


def measure_iris_gain(
    render: Callable[[FaceState], Image],
    tracker: FaceTracker,
    face: Anatomy,
    gaze: FloatArray,
    seen_of_head: FloatArray,
    now: FloatArray,
) -> FloatArray:
    """``PaintedEye.further`` for the eyes of a portrait that are rendered with ``now`` of it.

    Landmarks lag behind dark eyes and behind spectacles more than behind others, and on a head that
    is turned they do so more to one side; so the head goes along, as that of ``IdleMotionAnimator`` does.
    ``gaze``: where the picture looks, yaw and pitch [2]; ``seen_of_head`` [2] as of ``measure_head_gain``.
    """
    rest = _read(render(FaceState()), tracker, face)
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
        seen = _read(render(state), tracker, face)
        if seen is None:
            continue
        eyes = turn[axis] - float(seen_of_head[axis] * head[axis])
        share = 1 - (turn[axis] - float((seen - rest)[axis])) / eyes
        if share > _UNREAD:
            out[axis, side] = np.clip(out[axis, side] / share, _LEAST, _MOST)
    return out


def measure_head_gain(
    render: Callable[[FaceState], Image], tracker: FaceTracker
) -> FloatArray | None:
    """Which shares of a turn of the head, yaw and pitch [2], a flat picture conveys; None where its
    head cannot be read.
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
    found = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)))
    return found[0] if len(found) == 1 else None


def _read(image: Image, tracker: FaceTracker, face: Anatomy) -> FloatArray | None:
    found = _face(image, tracker)
    if found is None or found.pose is None:
        return None
    return read_gaze(face, found.landmarks, faces.landmark_yaw_pitch(found.pose))
