"""Eye points and the warp to the normalized camera equal those of GEDDnet's published code."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import CANONICAL_FACE, golden

from face_perception import faces
from face_perception.gaze import (
    eye_points,
    rotation_facing_eyes,
)
from face_perception.types import Camera


def test_points_are_those_of_the_68_point_convention() -> None:
    numbers = np.arange(478, dtype=np.float32)
    order = eye_points(np.stack([numbers, numbers, numbers], axis=1))[:, 0].astype(int).tolist()
    assert order == [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
    vertices = np.load(CANONICAL_FACE)
    for eye in (order[:6], order[6:]):
        x = vertices[eye, 0]  # the model's x is to its left: image right
        along = (x - x[0]) / (x[3] - x[0])
        assert (np.diff(x[:4]) > 0).all()
        assert along[[1, 2, 4, 5]] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1 / 3], abs=0.04)
        assert (vertices[eye[1:3], 1] > vertices[[eye[5], eye[4]], 1]).all()


def test_as_published() -> None:
    published = golden("geddnet")
    matrix = published["prep_camera"]
    focal, centre = (matrix[0, 0], matrix[1, 1]), (matrix[0, 2], matrix[1, 2])
    camera = Camera(1920, 1080, *focal, *centre)
    points = published["prep_landmarks"][36:48]
    rotation = rotation_facing_eyes(faces.undistort_points(camera, points))
    assert rotation[:, 2] == pytest.approx(published["prep_fc"][:, 0], abs=1e-12)
    virtual = np.array([[1536, 0, 960], [0, 1536, 540], [0, 0, 1.0]])
    warp = virtual @ rotation.T @ np.linalg.inv(matrix)
    np.testing.assert_allclose(warp, published["prep_warp"], rtol=0, atol=1e-9)
