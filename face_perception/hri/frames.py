"""The frames of faces that REP-155 defines, in the optical frame of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from face_perception.settings import setting
from face_perception.types import Eyes, Face, FloatArray, Gaze, HeadPose

_PARALLEL = 1e-6  # sine of an angle below which two directions count as parallel


@dataclass(frozen=True)
class FrameSettings:
    """Settings of the names of frames."""

    frame_prefix: str = setting(
        "",
        "Text before the names of all frames: with left_, the frame of face_1 is left_face_face_1. "
        "REP-155 has no such text. Set it if another node broadcasts frames of faces as well.",
    )


@dataclass(frozen=True, slots=True)
class NamedFrame:
    """A frame: its name, its origin [3] in metres, and its axes as the columns of [3, 3]."""

    name: str
    position: FloatArray
    rotation: FloatArray


def face_frames(
    face: Face, gaze: Gaze | None, prefix: str = "", person_id: str = ""
) -> list[NamedFrame]:
    """Returns the frames of a face; none if its head pose is not known.

    - ``face_<id>``: the head pose, x out of the face and z up.
    - ``gaze_<id>``: the same origin, z along the gaze, x to the person's right and y down. While
      the gaze is not known, z is the x axis of the face, as REP-155 requires. During a blink it is
      the gaze before the blink.
    - ``person_<person_id>``: the same as ``face_<id>``; only with a ``person_id``.
    """
    pose = face.pose
    if pose is None or not (np.isfinite(pose.position).all() and np.isfinite(pose.rotation).all()):
        return []
    gaze_axes = gaze_rotation(_look(pose, gaze), pose.rotation)
    frames = [
        NamedFrame(f"{prefix}face_{face.face_id}", pose.position, pose.rotation),
        NamedFrame(f"{prefix}gaze_{face.face_id}", pose.position, gaze_axes),
    ]
    if person_id:
        frames.append(NamedFrame(f"{prefix}person_{person_id}", pose.position, pose.rotation))
    return frames


def _look(pose: HeadPose, gaze: Gaze | None) -> FloatArray:
    """Returns the direction [3] of the gaze, or that of the head if the gaze is not known."""
    if gaze is not None and (gaze.valid or gaze.eyes == Eyes.BLINK):
        length = float(np.linalg.norm(gaze.direction))
        if np.isfinite(length) and length > 0:
            return gaze.direction / length
    return pose.rotation[:, 0]


def gaze_rotation(direction: FloatArray, face: FloatArray) -> FloatArray:
    """Returns the axes [3, 3] of a gaze frame as columns: x right, y down, z along ``direction``.

    ``direction`` [3] is a unit vector and ``face`` [3, 3] has the axes of the face frame as
    columns, in the same frame. Down is that of the head.
    """
    forward = direction.tolist()
    right = _cross((-face[:, 2]).tolist(), forward)
    length = math.hypot(*right)
    if length < _PARALLEL:  # the gaze is straight up or down
        right, length = (-face[:, 1]).tolist(), 1.0
    right = [value / length for value in right]
    return np.array([right, _cross(forward, right), forward]).T


def _cross(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Returns the cross product of two vectors. np.cross takes much longer for two alone."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
