"""The shortest plausible focal length of a picture without camera calibration. Finds no faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from face_perception.faces.eye_openness import EyeOpenness, eye_aspect_ratios
from face_perception.faces.head_pose import head_pose
from face_perception.types import Camera, Face

# Least distance, metres, of the nearest face in a still. Even a photograph taken at arm's length is
# from further away. This is a choice, not a measurement. With focal length = width, the 14 faces
# found in 16 sample pictures of AFLW2000-3D, which are cropped to the head, would be at 0.28 to
# 0.44 m.
NEAREST = 0.5
_PASSES = 3  # few are enough: the distance is nearly proportional to the focal length


def plausible_camera(camera: Camera, faces: Sequence[Face]) -> Camera:
    """A camera with a longer lens, if an assumed one puts the nearest face closer than ``NEAREST``.

    The nearest face is then at ``NEAREST``. A camera that is calibrated, or whose faces are all
    further away, is returned as it is.

    In a picture that is cropped to a face, or taken with a long lens, the face is too large for the
    assumed focal length = width. Head pose and gaze would then be corrected for a perspective
    that is not in the picture.
    """
    if not camera.assumed:
        return camera
    for _ in range(_PASSES):
        poses = [head_pose(camera, face.landmarks) for face in faces]
        nearest = min((pose.position[2] for pose in poses if pose is not None), default=NEAREST)
        if nearest > 0.98 * NEAREST:
            break
        longer = NEAREST / float(nearest)
        camera = replace(camera, fx=camera.fx * longer, fy=camera.fy * longer)
    return camera


def recompute_for_camera(camera: Camera, faces: Sequence[Face]) -> list[Face]:
    """The faces of a still, with head pose and eye openness computed for another camera."""
    return [_recompute(camera, face) for face in faces]


def _recompute(camera: Camera, face: Face) -> Face:
    pose = head_pose(camera, face.landmarks)
    left, right = EyeOpenness().update(eye_aspect_ratios(face.landmarks, pose), 0.0)
    return replace(face, pose=pose, left_eye_openness=float(left), right_eye_openness=float(right))
