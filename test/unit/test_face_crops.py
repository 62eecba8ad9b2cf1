import copy
from pickle import dumps, loads

import numpy as np
import pytest
from faces_scene import frame, paste, photo, wall

from face_perception.faces import (
    ALIGNED_SIDE,
    CHIN,
    CROP_SIDE,
    UncutCrop,
    aligned_face,
    crop_face,
)
from face_perception.faces.crops import _PLACES, _POINTS
from face_perception.types import Face, FaceCrop, Roi


def made(landmarks: np.ndarray) -> Face:
    return Face("face_1", 1.0, Roi(0, 0, 1, 1), landmarks, None)


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0), (0.3, -40), (4.0, 100)])
def test_a_face_like_the_template_comes_back_to_it(scale, degrees):
    a = np.radians(degrees)
    turn = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[_POINTS, :2] = _PLACES @ turn.T + (300, 200)
    crop = crop_face(np.zeros((480, 640, 3), np.uint8), made(landmarks))
    assert crop.face_id == "face_1"
    assert crop.image.shape == (CROP_SIDE, CROP_SIDE, 3)
    found = landmarks[_POINTS, :2] @ crop.transform[:, :2].T + crop.transform[:, 2]
    np.testing.assert_allclose(found, _PLACES, atol=1e-3)
    linear = crop.transform[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) / scale**2, atol=1e-4 / scale**2)


def test_a_crop_is_cut_once_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    image, face = photo("astronaut"), made(np.full((478, 3), 100, np.float32))
    face.landmarks[_POINTS, :2] = _PLACES * 1.5 + (30, 20)
    cut = []

    def noted(*args: object) -> FaceCrop:
        cut.append(args)
        return crop_face(image, face)

    monkeypatch.setattr("face_perception.faces.crops.crop_face", noted)
    crop = UncutCrop(image, face)
    assert (crop.face_id, cut) == ("face_1", [])
    np.testing.assert_array_equal(crop.image, crop_face(image, face).image)
    np.testing.assert_array_equal(crop.transform, crop_face(image, face).transform)
    assert len(cut) == 1


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda crop: loads(dumps(crop))])
def test_a_copy_of_an_uncut_crop_does_not_hold_the_image(copied) -> None:
    image, face = photo("astronaut"), made(np.full((478, 3), 100, np.float32))
    face.landmarks[_POINTS, :2] = _PLACES * 1.5 + (30, 20)
    crop, wanted = copied(UncutCrop(image, face)), crop_face(image, face)
    assert (type(crop), crop.face_id) == (FaceCrop, "face_1")
    np.testing.assert_array_equal(crop.image, wanted.image)
    np.testing.assert_array_equal(crop.transform, wanted.transform)


def test_transform_is_that_of_the_pixels_and_black_is_outside():
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[_POINTS, :2] = _PLACES * 2 + (-120, 40)  # a third of it is beyond image left
    image = np.full((480, 640, 3), 200, np.uint8)
    image[200, 150] = (255, 0, 0)
    crop = crop_face(image, made(landmarks))
    x, y = crop.transform @ (150, 200, 1)
    red = crop.image[..., 0].astype(int) - crop.image[..., 1]
    assert np.unravel_index(red.argmax(), red.shape) == (round(y), round(x))
    assert (crop.image[:, :50] == 0).all()


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
@pytest.mark.parametrize("degrees", [0, 35])
def test_framing_of_photographs(name, degrees, tracker):
    image = photo(name)
    if degrees:
        image = wall()
        paste(image, name, 300, 240, 190, degrees)
    (face,) = tracker.detect(frame(image))
    crop = crop_face(image, face)
    points = face.landmarks[:, :2] @ crop.transform[:, :2].T + crop.transform[:, 2]
    right_eye, left_eye = points[468], points[473]
    # In the inner 112 px the eyes are level, at a quarter of the height and 45 to 52 px apart; the
    # chin is at the lower edge.
    inner = (CROP_SIDE - 112) // 2
    assert left_eye[1] == pytest.approx(right_eye[1], abs=2)
    assert (left_eye + right_eye)[1] / 2 - inner == pytest.approx(28, abs=3)
    assert 44 < left_eye[0] - right_eye[0] < 53
    assert points[CHIN, 1] - inner == pytest.approx(112, abs=6)
    # Expression networks cut a square of 1.15 times the height of the landmarks. The crop contains
    # it.
    low, high = points.min(0), points.max(0)
    half = 1.15 * (high - low)[1] / 2
    assert ((low + high) / 2 - half > 0).all()
    assert ((low + high) / 2 + half < CROP_SIDE).all()


def test_aligned_face_is_the_inner_part():
    image = np.arange(160 * 160 * 3, dtype=np.uint32).astype(np.uint8).reshape(160, 160, 3)
    inner = aligned_face(FaceCrop("f", image, np.eye(2, 3)))
    assert inner.shape == (ALIGNED_SIDE, ALIGNED_SIDE, 3)
    np.testing.assert_array_equal(inner, image[24:136, 24:136])
    with pytest.raises(
        ValueError, match=r"not uint8 \[112, 112, 3\]: make it with faces.crop_face"
    ):
        aligned_face(FaceCrop("f", inner, np.eye(2, 3)))
