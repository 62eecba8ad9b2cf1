"""The 68 points, the mesh's mask and the latents of a face, against MuseTalk's published code."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import CANONICAL_FACE, golden

from face_perception import faces
from face_perception.avatar import (
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
    """68 points with these extremes and the middle (29) at row 120."""
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


@pytest.fixture(scope="module")
def canonical() -> np.ndarray:
    """The canonical face seen from in front, y down, cm; irises where the eyes are."""
    vertices = np.load(CANONICAL_FACE)
    mesh = np.zeros((478, 3))
    mesh[:468] = vertices * [1, -1, -1]
    mesh[468:473], mesh[473:] = mesh[[33, 133]].mean(0), mesh[[263, 362]].mean(0)
    return mesh


def test_68_points_have_their_order(canonical: np.ndarray) -> None:
    """Mirrored, the face is itself with the usual table of mirrored points; and rows are sorted."""
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
    # Eyes as rings: corner, upper lid, corner, lower lid.
    for first in (36, 42):
        assert y[first + 1 : first + 3].max() < y[first + 4 : first + 6].min()


def test_mask_of_the_mesh_is_nearly_the_published_one(canonical: np.ndarray) -> None:
    """The golden's drawn head, its oval overlaid with ours: what is blended agrees to 0.95 IoU."""
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


def test_a_real_face_is_cut_and_masked() -> None:
    image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    perception = Perception.load(single_image=True)
    face = perception.process(Frame(image, 0.0, Camera.assume(width, height))).faces[0]
    box = mesh_box(face.landmarks, height)
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    lips = face.landmarks[faces.LIPS_OUTER_UPPER, :2].mean(axis=0)
    # The lips are where the network paints: in the lower half of what it is given.
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


def test_encoder_images_as_published() -> None:
    published = golden("musetalk")
    mean, logvar, noise = (
        np.concatenate([published[f"vae_{name}_masked"], published[f"vae_{name}_ref"]])
        for name in ("mean", "logvar", "noise")
    )
    mode, sampled = published["latents_for_unet_mode"], published["latents_for_unet_sampled"]
    np.testing.assert_allclose(to_latents(mean, logvar), mode, atol=1e-6)
    np.testing.assert_allclose(to_latents(mean, logvar, noise), sampled, atol=1e-6)
    images = encoder_images(np.ascontiguousarray(published["crop_bgr_u8"][:, :, ::-1]))
    for name, image in zip(("masked", "ref"), images, strict=True):
        # The golden keeps 16 of the rows.
        scaled = image.transpose(2, 0, 1) / 127.5 - 1
        kept = published[f"vae_in_{name}"][0]
        rows = [k for k in range(241) if np.abs(scaled[:, k : k + 16] - kept).max() < 1e-5]
        assert rows, name
