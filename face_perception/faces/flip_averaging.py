"""Flip averaging: estimates a picture and its mirror image, and averages both.

The mesh network is not symmetric. On photographs of people who look at the lens it puts the gaze up
to 3 degrees to one side. The average has no such bias. It takes twice the time, so it is used for
single pictures only. (Also called test-time augmentation.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from face_perception.types import Camera, Face, FloatArray, Frame, Gaze, HeadPose

_FLIP = np.diag([-1.0, 1.0, 1.0])
# Distortion coefficients whose sign changes in a mirror image, by their index in OpenCV's order (k1
# k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tau_x tau_y): tangential p2, thin prism s1 and s2, sensor tilt
# tau_y.
_ALONG_X = (3, 8, 9, 13)
_MOST_ROLL_APART = np.radians(45)  # between a face and its mirror image, turned back
_SAME = 0.25  # largest distance between a face and its mirror image, as a share of its width


def mirror_frame(frame: Frame) -> Frame:
    """Returns the mirror image of a frame, with the camera that would have taken it."""
    camera = frame.camera
    d = camera.distortion
    if camera.distortion_model != "equidistant":
        d = tuple(-v if i in _ALONG_X else v for i, v in enumerate(d))
    flipped = dataclasses.replace(camera, cx=camera.width - 1 - camera.cx, distortion=d)
    image = np.ascontiguousarray(frame.image[:, ::-1])
    return dataclasses.replace(frame, image=image, camera=flipped)


def match_mirrored_faces(
    faces: Sequence[Face], others: Sequence[Face], camera: Camera
) -> list[Face | None]:
    """Returns for each of ``faces`` the same face among ``others``, or None.

    ``others`` are the faces of the mirrored frame. ``camera`` is that of the frame itself.
    """
    out: list[Face | None] = []
    for face in faces:
        at = face.landmarks[:, :2].mean(axis=0)
        best, nearest = None, _SAME * max(face.roi.width, 1)
        for other in others:
            x, y = other.landmarks[:, :2].mean(axis=0)
            apart = float(np.hypot(camera.width - 1 - x - at[0], y - at[1]))
            if apart < nearest and _agree(face.pose, other.pose):
                best, nearest = other, apart
        out.append(best)
    return out


def _agree(pose: HeadPose | None, other: HeadPose | None) -> bool:
    """Returns whether two poses of a mirrored pair can be averaged: one may be upside down."""
    if pose is None or other is None:
        return True
    difference = (pose.roll + other.roll + np.pi) % (2 * np.pi) - np.pi
    return bool(abs(difference) < _MOST_ROLL_APART)


def average_poses(pose: HeadPose | None, other: HeadPose | None) -> HeadPose | None:
    """Returns the mean of a pose and the same head's pose ``other`` in the mirrored frame.

    Returns ``pose`` if one of them is None.
    """
    if pose is None or other is None:
        return pose
    # A mirror also swaps the left and right of the face, which is its y axis.
    back = _FLIP @ other.rotation @ np.diag([1.0, -1.0, 1.0])
    u, _, vt = np.linalg.svd(pose.rotation + back)
    return HeadPose((pose.position + _FLIP @ other.position) / 2, u @ vt)


def average_gazes(gaze: Gaze, other: Gaze) -> Gaze:
    """Returns the mean of a gaze and the same face's gaze ``other`` in the mirrored frame.

    If only one of them is valid, returns that one, in the frame of ``gaze``.
    """
    back = dataclasses.replace(
        other,
        face_id=gaze.face_id,
        origin=_FLIP @ other.origin,
        direction=_FLIP @ other.direction,
    )
    if not (gaze.valid and other.valid):
        return gaze if gaze.valid or not other.valid else back
    direction: FloatArray = gaze.direction + back.direction
    return dataclasses.replace(
        gaze,
        origin=(gaze.origin + back.origin) / 2,
        direction=direction / np.linalg.norm(direction),
        confidence=(gaze.confidence + back.confidence) / 2,
        yaw_sigma=(gaze.yaw_sigma + back.yaw_sigma) / 2,
        pitch_sigma=(gaze.pitch_sigma + back.pitch_sigma) / 2,
    )
