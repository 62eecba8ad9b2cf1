"""Who a face is: enrols and recognises persons, and keeps and applies their gaze calibrations."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.people.calibration_fit import CalibrationFit, fit_calibration
    from face_perception.people.calibration_report import describe_fit
    from face_perception.people.calibration_samples import CalibrationRefused, CalibrationSamples
    from face_perception.people.calibration_session import CalibrationProgress, CalibrationSession
    from face_perception.people.calibration_store import (
        Calibration,
        CalibrationStore,
        calibrations_dir,
    )
    from face_perception.people.calibration_targets import (
        CalibrationTarget,
        camera_target,
        face_target,
        point_target,
        proposed_targets,
    )
    from face_perception.people.correction import Correction
    from face_perception.people.enrolled_store import EnrolledPerson, EnrolledStore, enrolled_dir
    from face_perception.people.enrolment import EnrolmentRefused, EnrolmentSession
    from face_perception.people.face_templates import (
        RECOGNITION_MODEL,
        FaceTemplates,
        align_for_recognition,
    )
    from face_perception.people.people_recognition import PeopleRecognition
    from face_perception.people.person_files import check_person_id
    from face_perception.people.recogniser import Recogniser, RecognitionSettings
    from face_perception.people.registry import PersonRegistry
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "RECOGNITION_MODEL",
    "Calibration",
    "CalibrationFit",
    "CalibrationProgress",
    "CalibrationRefused",
    "CalibrationSamples",
    "CalibrationSession",
    "CalibrationStore",
    "CalibrationTarget",
    "Correction",
    "EnrolledPerson",
    "EnrolledStore",
    "EnrolmentRefused",
    "EnrolmentSession",
    "FaceTemplates",
    "PeopleRecognition",
    "PersonRegistry",
    "Recogniser",
    "RecognitionSettings",
    "align_for_recognition",
    "calibrations_dir",
    "camera_target",
    "check_person_id",
    "describe_fit",
    "enrolled_dir",
    "face_target",
    "fit_calibration",
    "point_target",
    "proposed_targets",
]
