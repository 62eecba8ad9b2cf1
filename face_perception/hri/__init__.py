"""Converts results to what REP-155, the ROS standard for perceiving humans, publishes about them.

The results are plain numbers; the node ``hri`` puts them into messages of hri_msgs and tf2_msgs.
"""

from face_perception.hri.face_values import (
    LANDMARKS_70,
    UNIT_COUNT,
    SeenExpression,
    facs,
    landmarks_70,
    normalized_roi,
    seen_expression,
)
from face_perception.hri.frames import FrameSettings, NamedFrame, face_frames, gaze_rotation
from face_perception.hri.people import ROBOT, Person, gazing, person_id_of, persons_of
from face_perception.hri.person_links import ID_HOLD, PersonLinks
from face_perception.hri.pictures import PictureSettings, aligned_picture, cropped_picture

__all__ = [
    "ID_HOLD",
    "LANDMARKS_70",
    "ROBOT",
    "UNIT_COUNT",
    "FrameSettings",
    "NamedFrame",
    "Person",
    "PersonLinks",
    "PictureSettings",
    "SeenExpression",
    "aligned_picture",
    "cropped_picture",
    "face_frames",
    "facs",
    "gaze_rotation",
    "gazing",
    "landmarks_70",
    "normalized_roi",
    "person_id_of",
    "persons_of",
    "seen_expression",
]
