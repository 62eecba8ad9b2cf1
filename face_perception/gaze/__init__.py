"""Estimates where each face looks: a ray in the camera's optical frame, and eye contact."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.gaze.card_prior import PRIOR_FACT, prior_from_values, prior_values
    from face_perception.gaze.estimator import (
        GAZE_NETWORKS,
        SMALL_GAZE,
        GazeEstimator,
        estimate_gazes,
        load_gaze,
    )
    from face_perception.gaze.estimator_prior import NETWORK_PRIOR, AxisPrior, EstimatorPrior
    from face_perception.gaze.eye_contact import EyeContact, EyeContactSettings
    from face_perception.gaze.eyeballs import EYEBALL_BEHIND
    from face_perception.gaze.eyelids import LidCue, measure_lids
    from face_perception.gaze.face_pictures import FacePicture, make_face_picture
    from face_perception.gaze.gaze_memory import GazeSettings
    from face_perception.gaze.geometric import GEOMETRIC, GeometricGaze
    from face_perception.gaze.network import NetworkGaze
    from face_perception.gaze.network_crops import (
        EYE_SHAPE,
        CropsUnavailable,
        GazeCrops,
        make_gaze_crops,
        make_gaze_crops_from_points,
    )
    from face_perception.gaze.network_measures import GAZE_MEASURES, measure_gaze
    from face_perception.gaze.normalized_camera import (
        eye_points,
        from_normalized_angles,
        normalized_camera_rotation,
        rotation_facing_eyes,
        to_normalized_angles,
    )
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "EYEBALL_BEHIND",
    "EYE_SHAPE",
    "GAZE_MEASURES",
    "GAZE_NETWORKS",
    "GEOMETRIC",
    "NETWORK_PRIOR",
    "PRIOR_FACT",
    "SMALL_GAZE",
    "AxisPrior",
    "CropsUnavailable",
    "EstimatorPrior",
    "EyeContact",
    "EyeContactSettings",
    "FacePicture",
    "GazeCrops",
    "GazeEstimator",
    "GazeSettings",
    "GeometricGaze",
    "LidCue",
    "NetworkGaze",
    "estimate_gazes",
    "eye_points",
    "from_normalized_angles",
    "load_gaze",
    "make_face_picture",
    "make_gaze_crops",
    "make_gaze_crops_from_points",
    "measure_gaze",
    "measure_lids",
    "normalized_camera_rotation",
    "prior_from_values",
    "prior_values",
    "rotation_facing_eyes",
    "to_normalized_angles",
]
