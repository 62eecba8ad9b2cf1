"""The lens of a picture whose camera is not known: no longer than it must be. Finds no face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from face_perception.faces.eyes import EyeOpenness, aspect_ratios
from face_perception.faces.pose import head_pose
from face_perception.types import Camera, Face

# Metres at which the nearest face of a still stands at least. Who is photographed from nearer holds
# the camera in the own hand, and even that arm is longer. A choice, not a measurement: with the
# focal length = width, the 14 faces found in 16 sample pictures of AFLW2000-3D, cut to the head as
# portraits are, would stand at 0.28 to 0.44 m.
NEAREST = 0.5
_PASSES = 3  # the distance is nearly proportional to the focal length


def plausible_camera(camera: Camera, faces: Sequence[Face]) -> Camera:
    """The camera itself where it is calibrated, or where all faces stand at a plausible distance;
    else one with a longer lens, by which the nearest face stands at ``NEAREST``.

    A picture that was cut to a face, or taken with a long lens, shows a face too large for the
    focal length = width that is assumed; the perspective of such nearness would be taken out of
    head pose and gaze though it is not in the picture.
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


def seen_by(camera: Camera, faces: Sequence[Face]) -> list[Face]:
    """The faces of a still with their head poses and eye openness by another camera."""
    return [_seen_by(camera, face) for face in faces]


def _seen_by(camera: Camera, face: Face) -> Face:
    pose = head_pose(camera, face.landmarks)
    left, right = EyeOpenness().update(aspect_ratios(face.landmarks, pose), 0.0)
    return replace(face, pose=pose, left_eye_openness=float(left), right_eye_openness=float(right))
