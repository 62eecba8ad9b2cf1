"""Where a face looks: origin and direction in the camera's optical frame."""

from face_perception.gaze.geddnet import GeddnetGaze
from face_perception.gaze.geometric import GeometricGaze
from face_perception.gaze.normalise import Normalised, NotSeen, normalise, normalise_points
from face_perception.gaze.normalised import (
    eye_points,
    normalised_rotation,
    rotation_to_eyes,
    to_angles,
    to_direction,
)

__all__ = [
    "GeddnetGaze",
    "GeometricGaze",
    "Normalised",
    "NotSeen",
    "eye_points",
    "normalise",
    "normalise_points",
    "normalised_rotation",
    "rotation_to_eyes",
    "to_angles",
    "to_direction",
]
