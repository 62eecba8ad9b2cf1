"""Tests blending of the talking area, also at the edges of a picture."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from face_perception import avatar
from face_perception.avatar import Blender, crop_box, soft_mask


def test_a_byte_is_mixed_as_pillow_does_it() -> None:
    """Tests all weights and values against x / 255 rounded, the formula of Pillow's
    ImagingPaste.
    """
    below, above = np.mgrid[:256, :256].astype(np.uint8)
    for weight in range(0, 256, 5):
        result = np.repeat(below[..., None], 3, axis=2)
        full = np.full((256, 256, 3), weight, np.uint16)
        sys.modules["face_perception.avatar.musetalk.blending"].blend_rounded(  # type: ignore[attr-defined]
            result, np.repeat(above[..., None], 3, axis=2), full
        )
        exact = (above.astype(float) * weight + below.astype(float) * (255 - weight)) / 255
        np.testing.assert_array_equal(result[..., 0], np.floor(exact + 0.5))


@pytest.mark.parametrize("box", [(-30, -20, 80, 90), (120, 60, 230, 190), (-20, -20, 240, 180)])
def test_faces_that_leave_the_picture(box: avatar.Box) -> None:
    """The result is the same as on a picture with a wide border that is cut off again."""
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (160, 200, 3), np.uint8)
    face = random.integers(0, 256, (box[3] - box[1], box[2] - box[0], 3), np.uint8)
    area = np.zeros((512, 512), np.uint8)
    cv2.circle(area, (256, 300), 150, 255, -1)
    edge = 400
    large = np.pad(picture, ((edge, edge), (edge, edge), (0, 0)))
    moved = tuple(v + edge for v in box)

    def blended(image: np.ndarray, at: avatar.Box) -> np.ndarray:
        crop = crop_box(at)
        return Blender.create(image.shape, at, crop, soft_mask(area, at, crop)).blend(image, face)

    wanted = blended(large, (moved[0], moved[1], moved[2], moved[3]))[edge:-edge, edge:-edge]
    found = blended(picture, box)
    np.testing.assert_array_equal(found, wanted)
    assert (found != picture).any()


def test_nothing_to_blend() -> None:
    picture = np.full((100, 100, 3), 7, np.uint8)
    for box in ((10, 10, 40, 50), (300, 300, 340, 350)):
        crop = crop_box(box)
        face = np.zeros((box[3] - box[1], box[2] - box[0], 3), np.uint8)
        area = np.full((512, 512), 255 if box[0] > 100 else 0, np.uint8)
        blender = Blender.create(picture.shape, box, crop, soft_mask(area, box, crop))
        np.testing.assert_array_equal(blender.blend(picture, face), picture)
    with pytest.raises(ValueError, match="does not fit the box"):
        blender.blend(picture, face[:-1])
    with pytest.raises(ValueError, match="does not fit the crop"):
        Blender.create(picture.shape, box, crop, np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="is empty"):
        Blender.create(picture.shape, (0, 0, 0, 0), (0, 0, 0, 0), np.zeros((0, 0), np.uint8))


def test_a_share_of_a_face() -> None:
    """The result is between the picture and the full blend, in proportion. Nothing else changes."""
    random = np.random.default_rng(3)
    picture, face = (random.integers(0, 256, (160, 160, 3), np.uint8) for _ in range(2))
    box = (20, 10, 140, 150)
    mask = soft_mask(np.full((512, 512), 255, np.uint8), box, crop_box(box))
    blender = Blender.create(picture.shape, box, crop_box(box), mask)
    face = blender.resized(face)
    whole = blender.blend(picture, face).astype(int)
    for share in (0.0, 0.25, 0.5, 1.0):
        made = picture.copy()
        blender.blend_into(made, face, share)
        wanted = picture + share * (whole - picture)
        assert np.abs(made - wanted).max() <= (2 if 0 < share < 1 else 0)
