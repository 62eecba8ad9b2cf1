"""What landmarks tell about a gaze: an input of gaze networks, in addition to crops of the eyes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from face_perception.gaze.eyeballs import EyeReading, read_eyes, usable_pose
from face_perception.gaze.eyelids import measure_lids
from face_perception.gaze.geometric import mean_direction
from face_perception.gaze.normalized_camera import to_normalized_angles
from face_perception.types import Camera, Face, FloatArray, HeadPose

# Angles are radians in the normalized camera: pitch positive up, yaw positive to the image's right.
# Heights of lids and brows are those of ``LidCue``, in eye widths.
GAZE_MEASURES = (
    "measured_gaze_pitch",  # of the geometric estimate, not smoothed
    "measured_gaze_yaw",
    "measured_head_pitch",
    "measured_head_yaw",
    "upper_lid",
    "lower_lid",
    "brow",
)


def measure_gaze(camera: Camera, face: Face, rotation: FloatArray) -> FloatArray:
    """Returns ``GAZE_MEASURES`` [7] of a face, float32; NaN where one is not known.

    ``rotation`` [3, 3] is that of the normalized camera of ``face``, which ``camera`` sees. Raises
    InputError for an unknown distortion model of the lens.
    """
    pose = usable_pose(face)
    if pose is None:
        return np.full(len(GAZE_MEASURES), np.nan, np.float32)
    return measure_gaze_of_eyes(face, pose, read_eyes(camera, face, pose), rotation)


def measure_gaze_of_eyes(
    face: Face, pose: HeadPose, readings: Sequence[EyeReading], rotation: FloatArray
) -> FloatArray:
    """Returns what ``measure_gaze`` does, from the ``readings`` of some of the eyes of ``face``."""
    yaw, pitch = to_normalized_angles(rotation, mean_direction(readings))
    head_yaw, head_pitch = to_normalized_angles(rotation, pose.rotation[:, 0])
    lids = measure_lids(face)
    found: FloatArray = np.array(
        [pitch, yaw, head_pitch, head_yaw, lids.upper, lids.lower, lids.brow], np.float32
    )
    return found
