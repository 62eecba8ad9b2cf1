"""Who a tracked face is: persons, their gaze calibrations, and calibration sessions. No ROS."""

from face_perception.people.calibration_fit import CalibrationFit, fit_calibration
from face_perception.people.calibration_report import describe_fit
from face_perception.people.calibration_samples import CalibrationRefused, Samples
from face_perception.people.calibration_session import (
    CalibrationTarget,
    Collection,
    Progress,
    camera_target,
    face_target,
    point_target,
    proposed_targets,
)
from face_perception.people.calibration_store import (
    Calibration,
    PeopleStore,
    check_person_id,
    people_dir,
)
from face_perception.people.correction import Correction
from face_perception.people.registry import People, apply_correction

__all__ = [
    "Calibration",
    "CalibrationFit",
    "CalibrationRefused",
    "CalibrationTarget",
    "Collection",
    "Correction",
    "People",
    "PeopleStore",
    "Progress",
    "Samples",
    "apply_correction",
    "camera_target",
    "check_person_id",
    "describe_fit",
    "face_target",
    "fit_calibration",
    "people_dir",
    "point_target",
    "proposed_targets",
]
