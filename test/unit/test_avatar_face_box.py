"""Tests the face box and the mask of the mesh, which the talking face uses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from face_perception import faces
from face_perception.avatar import (
    NO_FACE,
    crop_box,
    cut_face,
    face_box,
    mesh_box,
    parts_from_mesh,
    soft_mask,
    talking_area,
)
from face_perception.avatar.musetalk.face_box import encoder_images
from face_perception.inference import sample_photo
from face_perception.pipeline import Perception
from face_perception.types import Camera, Frame


def points(*, left: int = 100, top: int = 50, right: int = 180, chin: int = 200) -> np.ndarray:
    """Returns 68 points with these extremes, and the middle (point 29) at row 120."""
    made = np.tile([140.0, 120.0], (68, 1))
    made[0], made[16], made[8], made[19] = (left, 90), (right, 90), (140, chin), (130, top)
    return made


def test_box_reaches_as_far_above_the_middle_as_the_chin_is_below() -> None:
    assert face_box(points() + 0.9, 400) == (100, 40, 180, 210)  # 0.9 of a pixel is cut off
    assert face_box(points(), 400, margin=0) == (100, 40, 180, 200)
    assert face_box(points(), 205) == (100, 40, 180, 205)
    assert face_box(points(), 400, shift=7, margin=0) == (100, 54, 180, 200)
    assert face_box(points(), 400, shift=-7, margin=0) == (100, 26, 180, 200)
    assert face_box(points(chin=300), 400, margin=0) == (100, 0, 180, 300)


def test_points_that_give_no_box() -> None:
    other = (10, 20, 90, 110)
    for bad in (points(left=-3), np.full((68, 2), 140.0), np.full((68, 2), np.nan)):
        assert face_box(bad, 400) == NO_FACE
        assert face_box(bad, 400, otherwise=other) == (10, 20, 90, 120)
        assert face_box(bad, 115, otherwise=other) == (10, 20, 90, 115)
    assert face_box(points(), 400, shift=90, otherwise=other) == (10, 20, 90, 120)
    with pytest.raises(ValueError, match=r"\[68, 2\], not \[478, 3\]"):
        face_box(np.zeros((478, 3)), 400)
    assert mesh_box(np.full((478, 3), np.nan), 400) == NO_FACE


def test_a_real_face_is_cut_and_masked() -> None:
    image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    perception = Perception.load(single_image=True)
    face = perception.process(Frame(image, 0.0, Camera.assume(width, height))).faces[0]
    box = mesh_box(face.landmarks, height)
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    lips = face.landmarks[faces.LIPS_OUTER_UPPER, :2].mean(axis=0)
    # The lips are in the lower half of the network's input, which is the half that it paints.
    assert 0.5 < (lips[1] - box[1]) / (box[3] - box[1]) < 0.9
    cut = cut_face(image, box)
    assert cut.shape == (256, 256, 3)
    masked, whole = encoder_images(cut)
    np.testing.assert_array_equal(whole, cut)
    np.testing.assert_array_equal(masked[:128], whole[:128])
    assert not masked[128:].any()
    crop = crop_box(box)
    parts = parts_from_mesh(face.landmarks, crop)
    assert set(np.unique(parts)) >= {0, 1, 10, 12, 13}
    mask = soft_mask(talking_area(parts), box, crop)
    at = np.rint(lips).astype(int) - crop[:2]
    assert mask[at[1], at[0]] > 200
    assert not mask[: len(mask) // 2 - 20].any()


def test_a_box_outside_the_picture() -> None:
    picture = np.zeros((50, 60, 3), np.uint8)
    with pytest.raises(ValueError, match="outside the picture"):
        cut_face(picture, (70, 10, 90, 30))
    assert cut_face(picture, (50, 40, 90, 70)).shape == (256, 256, 3)
