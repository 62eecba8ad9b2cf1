"""Blending of the talking area, bit for bit as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_perception.avatar import Blender, blend, crop_box, soft_mask, talking_area
from face_perception.avatar.musetalk.face_parsing import cheek_columns, cheek_kernel, cone

Golden = dict[str, np.ndarray]


BOX = (250, 120, 333, 217)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return dict(np.load(shared / "golden" / "musetalk" / "golden_misc_seed1.npz"))


def test_areas_of_face_parts(golden: Golden) -> None:
    np.testing.assert_array_equal(cone(), golden["jaw_kernel"])
    np.testing.assert_array_equal(cheek_kernel(), golden["cheek_kernel"])
    parts = golden["label_map"]
    for cheeks in (80, 90):
        np.testing.assert_array_equal(cheek_columns(cheeks), golden[f"cheek_mask{cheeks}"])
    for mode in ("raw", "neck", "jaw"):
        np.testing.assert_array_equal(talking_area(parts, mode), golden[f"parse_{mode}"])
    np.testing.assert_array_equal(talking_area(parts, "jaw", 80), golden["parse_jaw80"])
    with pytest.raises(ValueError, match="no mode 'chin'"):
        talking_area(parts, "chin")
    with pytest.raises(ValueError, match=r"\[512, 512\], not \[256, 512\]"):
        talking_area(parts[:256])


@pytest.mark.parametrize("mode", ["raw", "jaw"])
def test_prepared_and_offline_blends(golden: Golden, mode: str) -> None:
    frame, face, area = golden["frame_bgr"], golden["face_bgr"], golden[f"parse_{mode}"]
    box = tuple(int(v) for v in golden["box"])
    assert box == BOX
    crop = crop_box(BOX)
    assert list(crop) == golden["crop_box"].tolist()
    mask = soft_mask(area, BOX, crop)
    np.testing.assert_array_equal(mask, golden[f"mask_{mode}"])
    before = frame.copy()
    blender = Blender.prepare(frame.shape, BOX, crop, mask)
    np.testing.assert_array_equal(blender.blend(frame, face), golden[f"blend_{mode}"])
    np.testing.assert_array_equal(blend(frame, face, BOX, area), golden[f"getimage_{mode}"])
    np.testing.assert_array_equal(frame, before)
