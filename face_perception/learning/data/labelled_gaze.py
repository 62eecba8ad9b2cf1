"""Crops and labels of pictures with a known gaze, as the gaze recipes read them."""

from __future__ import annotations

import numpy as np

from face_perception.faces import FaceTracker
from face_perception.gaze import GazeCrops, make_gaze_crops, to_normalized_angles
from face_perception.learning.data.converting import FaceMissing, find_face
from face_perception.types import Camera, FloatArray, HeadPose, Image


def find_gaze_crops(
    tracker: FaceTracker, image: Image, camera: Camera
) -> tuple[GazeCrops, HeadPose]:
    """Returns the crops and the head pose of the largest face.

    Raises FaceMissing or CropsUnavailable.
    """
    face = find_face(tracker, image, camera)
    crops = make_gaze_crops(image, camera, face)
    if face.pose is None:
        raise FaceMissing("the head pose is not known")
    return crops, face.pose


def gaze_images(crops: GazeCrops) -> dict[str, Image]:
    """Returns the images of a sample by their columns."""
    return {"file": crops.face, "left_eye": crops.left_eye, "right_eye": crops.right_eye}


def gaze_labels(crops: GazeCrops, gaze: FloatArray, facing: FloatArray) -> dict[str, float]:
    """Returns the angles of a sample by their columns, radians.

    ``gaze`` [3] and ``facing`` [3], the direction of the face, are in the camera's optical frame.
    Their lengths do not matter.
    """
    gaze_yaw, gaze_pitch = to_normalized_angles(crops.rotation, gaze / np.linalg.norm(gaze))
    head_yaw, head_pitch = to_normalized_angles(crops.rotation, facing / np.linalg.norm(facing))
    return {
        "gaze_pitch": gaze_pitch,
        "gaze_yaw": gaze_yaw,
        "head_pitch": head_pitch,
        "head_yaw": head_yaw,
    }
