"""GEDDnet's crops equal those of the published preprocessing."""

from __future__ import annotations

import cv2
import numpy as np
from goldens import golden

from face_perception.gaze import (
    GazeCrops,
    make_gaze_crops_from_points,
)
from face_perception.types import Camera, Image


def three(made: GazeCrops) -> tuple[Image, Image, Image]:
    return made.face, made.left_eye, made.right_eye


def test_as_published() -> None:
    published = golden("geddnet")
    image = cv2.resize(published["prep_frame_small_u8"], (1920, 1080))
    matrix = published["prep_camera"]
    camera = Camera(1920, 1080, matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    made = make_gaze_crops_from_points(image, camera, published["prep_landmarks"][36:48])
    for crop, name in zip(three(made), ("prep_face", "prep_left", "prep_right"), strict=True):
        assert np.abs(crop.astype(int) - published[name]).max() <= 1, name
    np.testing.assert_allclose(made.warp, published["prep_warp"], rtol=0, atol=1e-9)
