"""Phase differences and input images of MIMAMO-Net, against the published code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from face_perception import motion

Array = NDArray[np.floating]


@pytest.fixture(scope="session")
def golden(shared: Path) -> dict[str, NDArray[np.generic]]:
    return dict(np.load(shared / "golden" / "mimamo" / "golden_seed1.npz"))


@pytest.mark.parametrize("name", ["smooth", "noise"])
def test_published_phase_differences(golden: dict[str, Array], name: str) -> None:
    images = golden[f"phase_{name}_clip_u8"].astype(np.float32) / 255
    bands = motion.coefficients(images)
    moved = motion.phase_differences(motion.phases(images))
    for level in (0, 1):
        wanted = golden[f"phase_{name}_coeff{level}"][0]
        wanted = (wanted[..., 0] + 1j * wanted[..., 1]).swapaxes(0, 1)
        np.testing.assert_allclose(bands[level], wanted, atol=1e-6)
        wanted = golden[f"phase_{name}_diff{level}"][0]
        tolerance = 1e-3 if (name, level) == ("smooth", 0) else 5e-5
        got = moved[level].reshape(wanted.shape)
        np.testing.assert_allclose(got, wanted, atol=tolerance)


def test_published_images_exactly(golden: dict[str, Array]) -> None:
    frames = golden["e2e_frames_u8"]
    grays = np.stack([motion.gray_image(frame) for frame in frames])
    window = [max(0, t) for t in range(-6, 7)]
    np.testing.assert_array_equal(grays[window], golden["e2e_gray48_f0"])
    window = [min(69, t) for t in range(63, 76)]
    np.testing.assert_array_equal(grays[window], golden["e2e_gray48_clip1_last"])
    mean = np.array([131.0912, 103.8827, 91.4953], np.float32)[:, None, None]
    got = motion.appearance_image(frames[0]) - mean
    np.testing.assert_allclose(got, golden["e2e_resnet_input0"][0], atol=1e-4)
