"""Finds and tracks faces in images: landmarks, head pose, openness of the eyes, ids and crops.

Gaze and affect are estimated from the resulting ``Face`` by other parts of the package. The names
of landmarks in capitals are indices into ``Face.landmarks``.
"""

from typing import TYPE_CHECKING

from face_perception.faces.head_pose import (
    NEUTRAL_PITCH,
    head_pose,
    landmark_frame,
    landmark_yaw_pitch,
    rotate_to_frontal,
)
from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.faces import flip_averaging
    from face_perception.faces.crops import (
        ALIGNED_SIDE,
        CROP_SIDE,
        UncutCrop,
        aligned_face,
        check_crop,
        crop_face,
        fit_similarity,
    )
    from face_perception.faces.focal_length_correction import plausible_camera, recompute_for_camera
    from face_perception.faces.hidden_mouth import HIDDEN_BELOW, mouth_visibility
    from face_perception.faces.id_expiry import ID_EXPIRES_AFTER, id_expired
    from face_perception.faces.landmarks import (
        CHIN,
        FACE_OVAL,
        LEFT_BROW_LOWER,
        LEFT_BROW_UPPER,
        LEFT_EYE_LOWER,
        LEFT_EYE_UPPER,
        LEFT_INNER_CANTHUS,
        LEFT_IRIS_CENTRE,
        LEFT_IRIS_RIM,
        LEFT_OUTER_CANTHUS,
        LIPS_INNER_LOWER,
        LIPS_INNER_UPPER,
        LIPS_OUTER_LOWER,
        LIPS_OUTER_UPPER,
        MOUTH_LEFT,
        MOUTH_RIGHT,
        NOSE_HULL,
        NOSE_TIP,
        POINTS_68,
        RIGHT_BROW_LOWER,
        RIGHT_BROW_UPPER,
        RIGHT_EYE_LOWER,
        RIGHT_EYE_UPPER,
        RIGHT_INNER_CANTHUS,
        RIGHT_IRIS_CENTRE,
        RIGHT_IRIS_RIM,
        RIGHT_OUTER_CANTHUS,
        SELLION,
    )
    from face_perception.faces.mesh import Mesh, MeshResult, Square, square_of_landmarks
    from face_perception.faces.tracker import (
        MAX_FACES,
        FaceTracker,
        FaceTrackerSettings,
        load_tracker,
    )
    from face_perception.faces.undistort import project_points, undistort_points
    from face_perception.types import LANDMARK_COUNT
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "ALIGNED_SIDE",
    "CHIN",
    "CROP_SIDE",
    "FACE_OVAL",
    "HIDDEN_BELOW",
    "ID_EXPIRES_AFTER",
    "LANDMARK_COUNT",
    "LEFT_BROW_LOWER",
    "LEFT_BROW_UPPER",
    "LEFT_EYE_LOWER",
    "LEFT_EYE_UPPER",
    "LEFT_INNER_CANTHUS",
    "LEFT_IRIS_CENTRE",
    "LEFT_IRIS_RIM",
    "LEFT_OUTER_CANTHUS",
    "LIPS_INNER_LOWER",
    "LIPS_INNER_UPPER",
    "LIPS_OUTER_LOWER",
    "LIPS_OUTER_UPPER",
    "MAX_FACES",
    "MOUTH_LEFT",
    "MOUTH_RIGHT",
    "NEUTRAL_PITCH",
    "NOSE_HULL",
    "NOSE_TIP",
    "POINTS_68",
    "RIGHT_BROW_LOWER",
    "RIGHT_BROW_UPPER",
    "RIGHT_EYE_LOWER",
    "RIGHT_EYE_UPPER",
    "RIGHT_INNER_CANTHUS",
    "RIGHT_IRIS_CENTRE",
    "RIGHT_IRIS_RIM",
    "RIGHT_OUTER_CANTHUS",
    "SELLION",
    "FaceTracker",
    "FaceTrackerSettings",
    "Mesh",
    "MeshResult",
    "Square",
    "UncutCrop",
    "aligned_face",
    "check_crop",
    "crop_face",
    "fit_similarity",
    "flip_averaging",
    "head_pose",
    "id_expired",
    "landmark_frame",
    "landmark_yaw_pitch",
    "load_tracker",
    "mouth_visibility",
    "plausible_camera",
    "project_points",
    "recompute_for_camera",
    "rotate_to_frontal",
    "square_of_landmarks",
    "undistort_points",
]
