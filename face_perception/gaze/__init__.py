"""Where a face looks: origin and direction in the camera's optical frame."""

from face_perception.gaze.estimator import GazeEstimator, estimate_gazes, load_gaze
from face_perception.gaze.estimator_prior import NETWORK_PRIOR, AxisPrior, EstimatorPrior
from face_perception.gaze.eye_contact import EyeContact
from face_perception.gaze.eyeballs import EYEBALL_BEHIND
from face_perception.gaze.eyelids import LidCue, measure_lids
from face_perception.gaze.geddnet import GeddnetGaze
from face_perception.gaze.geddnet_crops import Normalised, NotSeen, normalise, normalise_points
from face_perception.gaze.geometric import GEOMETRIC, GeometricGaze
from face_perception.gaze.normalized_camera import (
    eye_points,
    normalised_rotation,
    rotation_to_eyes,
    to_angles,
    to_direction,
)

__all__ = [
    "EYEBALL_BEHIND",
    "GEOMETRIC",
    "NETWORK_PRIOR",
    "AxisPrior",
    "EstimatorPrior",
    "EyeContact",
    "GazeEstimator",
    "GeddnetGaze",
    "GeometricGaze",
    "LidCue",
    "Normalised",
    "NotSeen",
    "estimate_gazes",
    "eye_points",
    "load_gaze",
    "measure_lids",
    "normalise",
    "normalise_points",
    "normalised_rotation",
    "rotation_to_eyes",
    "to_angles",
    "to_direction",
]
