"""The 68 points, the mask and the latents of a face, compared with MuseTalk's published code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from goldens import CANONICAL_FACE, golden

from face_perception import faces
from face_perception.avatar import (
    FaceEncoder,
    crop_box,
    parts_from_mesh,
    soft_mask,
    talking_area,
)
from face_perception.avatar.musetalk.face_box import encoder_images


@pytest.fixture(scope="module")
def canonical() -> np.ndarray:
    """Returns the canonical face from the front, y down, cm, with irises in the eyes."""
    vertices = np.load(CANONICAL_FACE)
    mesh = np.zeros((478, 3))
    mesh[:468] = vertices * [1, -1, -1]
    mesh[468:473], mesh[473:] = mesh[[33, 133]].mean(0), mesh[[263, 362]].mean(0)
    return mesh


def test_68_points_have_their_order(canonical: np.ndarray) -> None:
    """The usual table of mirrored points maps the mirrored face to itself; rows are sorted."""
    mirrored = np.array(
        [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
        + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
        + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    )
    found = canonical[faces.POINTS_68, :2]
    assert len(set(faces.POINTS_68.tolist())) == 68
    np.testing.assert_allclose(found[mirrored] * [-1, 1], found, atol=0.25)
    x, y = found.T
    assert (np.diff(x[0:17]) > -0.3).all()
    assert np.argmax(y) == 8
    assert (np.diff(x[17:27]) > 0).all()
    assert (np.diff(y[27:31]) > 0).all()
    assert (np.diff(x[31:36]) > 0).all()
    assert (np.diff(x[48:55]) > 0).all()
    assert (np.diff(x[54:60]) < 0).all()
    assert y[17:27].max() < y[36:48].min()
    assert y[36:48].max() < y[30] < y[48:68].min()
    # The points around each eye: corner, upper lid, corner, lower lid.
    for first in (36, 42):
        assert y[first + 1 : first + 3].max() < y[first + 4 : first + 6].min()


def test_mask_of_the_mesh_is_nearly_the_published_one(canonical: np.ndarray) -> None:
    """The blended region of the golden's synthetic head agrees with ours to an IoU of 0.95."""
    published = golden("musetalk_blend")
    rows, columns = np.nonzero(published["label_map"] == 1)
    box = tuple(int(v) for v in published["box"])
    crop = crop_box((box[0], box[1], box[2], box[3]))
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    oval = canonical[faces.FACE_OVAL, :2]
    mesh = canonical.copy()
    span = oval.max(axis=0) - oval.min(axis=0)
    mesh[:, :2] = (mesh[:, :2] - oval.min(axis=0)) / span * (high - low) + low
    mesh[:, :2] = mesh[:, :2] * (crop[2] - crop[0]) / 512 + crop[:2]
    for mode in ("raw", "jaw"):
        area = talking_area(parts_from_mesh(mesh, crop), mode)
        face = (box[0], box[1], box[2], box[3])
        found = soft_mask(area, face, crop) >= 128
        wanted = published[f"mask_{mode}"] >= 128
        iou = (found & wanted).sum() / (found | wanted).sum()
        print(f"{mode}: IoU {iou:.3f}")
        assert iou > 0.94, (mode, iou)


class MeanOf:
    """An image encoder that returns given means [1, 4, 32, 32], one for each image."""

    def __init__(self, *means: np.ndarray) -> None:
        self.means = list(means)

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"mean": self.means.pop(0)}


def test_latents_as_published() -> None:
    published = golden("musetalk")
    images = encoder_images(np.ascontiguousarray(published["crop_bgr_u8"][:, :, ::-1]))
    model: Any = MeanOf(published["vae_mean_masked"], published["vae_mean_ref"])
    found = FaceEncoder(model).encode(images).reshape(1, 8, 32, 32)
    np.testing.assert_allclose(found, published["latents_for_unet_mode"], atol=1e-6)
    for name, image in zip(("masked", "ref"), images, strict=True):
        # The golden has 16 of the rows.
        scaled = image.transpose(2, 0, 1) / 127.5 - 1
        kept = published[f"vae_in_{name}"][0]
        rows = [k for k in range(241) if np.abs(scaled[:, k : k + 16] - kept).max() < 1e-5]
        assert rows, name
