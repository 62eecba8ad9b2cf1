"""Corrects the assumed focal length of a picture whose camera was not calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from face_perception.faces.eye_openness import EyeOpenness, eye_aspect_ratios
from face_perception.faces.head_pose import head_pose
from face_perception.types import Camera, Face

# Smallest plausible distance of a face in a photograph, metres; a photograph at arm's length is
# taken from farther away. This is a choice, not a measurement. With focal length = width, the 14
# faces that are found in 16 sample pictures of AFLW2000-3D, which are cropped to the head, would be
# at 0.28 to 0.44 m.
NEAREST = 0.5
_PASSES = 3  # enough, because the distance is nearly proportional to the focal length


def plausible_camera(camera: Camera, faces: Sequence[Face]) -> Camera:
    """Returns ``camera``, with a longer focal length if an assumed one puts a face too near.

    The nearest face is then at ``NEAREST`` metres. A calibrated camera is returned unchanged, and
    so is one whose faces are all farther away.

    In a picture that was cropped to a face, or taken with a long lens, the face is too large for
    the assumed focal length. Head pose and gaze would be corrected for a perspective that the
    picture does not have.
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
    """Returns the faces of a single picture, with pose and eye openness for another camera."""
    return [_recompute(camera, face) for face in faces]


def _recompute(camera: Camera, face: Face) -> Face:
    pose = head_pose(camera, face.landmarks)
    left, right = EyeOpenness().update(eye_aspect_ratios(face.landmarks, pose), 0.0)
    return replace(face, pose=pose, left_eye_openness=float(left), right_eye_openness=float(right))
