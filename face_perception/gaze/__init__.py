"""Where a face looks: origin and direction in the camera's optical frame."""

from face_perception.gaze.calibration import CalibrationFit, fit_calibration
from face_perception.gaze.collection import (
    CalibrationTarget,
    Collection,
    Progress,
    camera_target,
    face_target,
    point_target,
    proposed_targets,
)
from face_perception.gaze.correction import Correction
from face_perception.gaze.estimator import GazeEstimator, estimate_gazes, load_gaze
from face_perception.gaze.eye_contact import EyeContact
from face_perception.gaze.eyes import EYEBALL_BEHIND
from face_perception.gaze.geddnet import GeddnetGaze
from face_perception.gaze.geometric import GEOMETRIC, GeometricGaze
from face_perception.gaze.normalise import Normalised, NotSeen, normalise, normalise_points
from face_perception.gaze.normalised import (
    eye_points,
    normalised_rotation,
    rotation_to_eyes,
    to_angles,
    to_direction,
)
from face_perception.gaze.outcome import describe_fit
from face_perception.gaze.people import People, apply_correction
from face_perception.gaze.people_store import Calibration, PeopleStore, check_person_id, people_dir
from face_perception.gaze.prior import EstimatorPrior
from face_perception.gaze.samples import CalibrationRefused, Samples

__all__ = [
    "EYEBALL_BEHIND",
    "GEOMETRIC",
    "Calibration",
    "CalibrationFit",
    "CalibrationRefused",
    "CalibrationTarget",
    "Collection",
    "Correction",
    "EstimatorPrior",
    "EyeContact",
    "GazeEstimator",
    "GeddnetGaze",
    "GeometricGaze",
    "Normalised",
    "NotSeen",
    "People",
    "PeopleStore",
    "Progress",
    "Samples",
    "apply_correction",
    "camera_target",
    "check_person_id",
    "describe_fit",
    "estimate_gazes",
    "eye_points",
    "face_target",
    "fit_calibration",
    "load_gaze",
    "normalise",
    "normalise_points",
    "normalised_rotation",
    "people_dir",
    "point_target",
    "proposed_targets",
    "rotation_to_eyes",
    "to_angles",
    "to_direction",
]
