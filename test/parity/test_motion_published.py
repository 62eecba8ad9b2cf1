"""Phase differences and input images of MIMAMO-Net equal those of the published code."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import golden

from face_perception import motion


@pytest.mark.parametrize("name", ["smooth", "noise"])
def test_published_phase_differences(name: str) -> None:
    published = golden("mimamo")
    images = published[f"phase_{name}_clip_u8"].astype(np.float32) / 255
    bands = motion.pyramid_bands(images)
    moved = motion.phase_differences(motion.image_phases(images))
    for level, rows in ((0, slice(None, None, 2)), (1, slice(None))):
        wanted = published[f"phase_{name}_coeff{level}"][0]
        wanted = (wanted[..., 0] + 1j * wanted[..., 1]).swapaxes(0, 1)
        np.testing.assert_allclose(bands[level][::4, :, rows], wanted, atol=1e-6)
        wanted = published[f"phase_{name}_diff{level}"][0]
        tolerance = 1e-3 if (name, level) == ("smooth", 0) else 5e-5
        size = moved[level].shape[-1]
        got = moved[level].reshape(len(wanted), -1, size, size)[:, ::3, rows]
        np.testing.assert_allclose(got, wanted, atol=tolerance)


def test_published_images_exactly() -> None:
    published = golden("mimamo")
    frames = published["e2e_frames_u8"]
    grays = np.stack([motion.gray_image(frame) for frame in frames])
    np.testing.assert_array_equal(grays[:7], published["e2e_gray48_f0"])
    np.testing.assert_array_equal(grays[63:], published["e2e_gray48_clip1_last"])
    mean = np.array([131.0912, 103.8827, 91.4953], np.float32)[:, None, None]
    got = (motion.appearance_image(frames[0]) - mean)[:, ::8]
    np.testing.assert_allclose(got, published["e2e_resnet_input0"][0], atol=1e-4)
