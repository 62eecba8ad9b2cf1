"""Looking at a still twice, as it is and mirrored: the mesh is not symmetric, the mean is.

On photographs of people who look at the lens the mesh alone puts the gaze up to 3 degrees to one
side; a picture and its mirror image now give mirrored answers. Costs as much again, so streams do
without.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from face_perception.types import Camera, Face, FloatArray, Frame, Gaze, HeadPose

_FLIP = np.diag([-1.0, 1.0, 1.0])
# Coefficients that act along x alone, in OpenCV's order (k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tau_x
# tau_y): the tangential p2, the thin prism's s1 and s2, and the sensor's tilt about y.
_ALONG_X = (3, 8, 9, 13)
_SAME = 0.25  # of a face's width: how far apart the two views of one face may be


def mirror_frame(frame: Frame) -> Frame:
    """The frame that a camera would give which sees the world in a mirror (x negated)."""
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
    """For each face the one of the mirrored frame's ``others`` that is the same, or None."""
    out: list[Face | None] = []
    for face in faces:
        at = face.landmarks[:, :2].mean(axis=0)
        best, nearest = None, _SAME * max(face.roi.width, 1)
        for other in others:
            x, y = other.landmarks[:, :2].mean(axis=0)
            apart = float(np.hypot(camera.width - 1 - x - at[0], y - at[1]))
            if apart < nearest:
                best, nearest = other, apart
        out.append(best)
    return out


def average_poses(pose: HeadPose | None, other: HeadPose | None) -> HeadPose | None:
    """The mean of a pose and of one from the mirrored frame."""
    if pose is None or other is None:
        return pose
    # A mirror swaps left and right of the face as well: its y axis.
    back = _FLIP @ other.rotation @ np.diag([1.0, -1.0, 1.0])
    u, _, vt = np.linalg.svd(pose.rotation + back)
    return HeadPose((pose.position + _FLIP @ other.position) / 2, u @ vt)


def average_gazes(gaze: Gaze, other: Gaze) -> Gaze:
    """The mean of a gaze and of one from the mirrored frame; the valid one where only one is."""
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
