"""Blending of the mouth region equals the published code in every bit."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import Golden, golden

from face_perception.avatar import Blender, crop_box, soft_mask, talking_area
from face_perception.avatar.musetalk.face_parsing import cheek_columns, cheek_kernel, cone

BOX = (250, 120, 333, 217)


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("musetalk_blend")


def test_areas_of_face_parts(published: Golden) -> None:
    np.testing.assert_array_equal(cone(), published["jaw_kernel"])
    np.testing.assert_array_equal(cheek_kernel(), published["cheek_kernel"])
    parts = published["label_map"]
    for cheeks in (80, 90):
        np.testing.assert_array_equal(cheek_columns(cheeks), published[f"cheek_mask{cheeks}"])
    for mode in ("raw", "neck", "jaw"):
        np.testing.assert_array_equal(talking_area(parts, mode), published[f"parse_{mode}"])
    np.testing.assert_array_equal(talking_area(parts, "jaw", 80), published["parse_jaw80"])
    with pytest.raises(ValueError, match="no mode 'chin'"):
        talking_area(parts, "chin")
    with pytest.raises(ValueError, match=r"\[512, 512\], not \[256, 512\]"):
        talking_area(parts[:256])


@pytest.mark.parametrize("mode", ["raw", "jaw"])
def test_blends(published: Golden, mode: str) -> None:
    face, area = published["face_bgr"], published[f"parse_{mode}"]
    box = tuple(int(v) for v in published["box"])
    assert box == BOX
    crop = crop_box(BOX)
    assert list(crop) == published["crop_box"].tolist()
    mask = soft_mask(area, BOX, crop)
    np.testing.assert_array_equal(mask, published[f"mask_{mode}"])
    # The golden keeps the crop of each picture. Outside of it, the published code changes nothing.
    frame = in_frame(published["frame_bgr"], crop)
    before = frame.copy()
    blender = Blender.create(frame.shape, BOX, crop, mask)
    wanted = in_frame(published[f"blend_{mode}"], crop)
    np.testing.assert_array_equal(blender.blend(frame, face), wanted)
    np.testing.assert_array_equal(frame, before)


def in_frame(part: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """Returns an image of the size of the golden, black outside of ``crop``."""
    left, top, right, bottom = crop
    frame = np.zeros((360, 640, 3), np.uint8)
    frame[top:bottom, left:right] = part
    return frame
