"""Whole pictures with a known gaze, and estimators beside each other on them."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")

from face_perception.faces import FaceTracker, load_tracker
from face_perception.gaze import GeometricGaze
from face_perception.learning.claims import gaze_comparison as beside
from face_perception.learning.synthesis.gaze_crops import gaze_faces
from face_perception.learning.synthesis.gaze_pictures import (
    photographs,
    synthetic_pictures,
    turned_photographs,
)


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return load_tracker()


def test_drawn_people_are_found_and_where_they_look_is_seen(tracker: FaceTracker) -> None:
    pictures = list(synthetic_pictures(6, 2, seed=1))
    again = list(synthetic_pictures(1, 2, seed=1))
    np.testing.assert_array_equal(again[1].frame.image, pictures[1].frame.image)
    found = beside.detect_faces(pictures, tracker)
    assert len(found) >= 10
    truth = np.array([one.picture.gaze for one in found])
    seen = beside.estimate_directions(GeometricGaze(), found)
    there = np.isfinite(seen).all(1)
    assert there.sum() >= 9
    # Of yaw it reads much, of the pitch of drawn lids little.
    assert np.corrcoef(seen[there, 1], truth[there, 1])[0, 1] > 0.85


def test_a_person_in_whole_pictures_has_the_bias_of_the_crops() -> None:
    kappa = gaze_faces(3, 1, seed=4).kappa
    exact = list(synthetic_pictures(3, 1, seed=4))
    # Of the same chance, the axis of the eyes comes after the bias, as with the crops.
    crops = gaze_faces(3, 1, seed=4)
    for i, picture in enumerate(exact):
        np.testing.assert_allclose(picture.gaze - kappa[i], crops.gaze[i] - crops.kappa[i])


def test_photographs_look_at_the_lens_and_turned_ones_beside(tracker: FaceTracker) -> None:
    views = beside.detect_faces(list(photographs()), tracker)
    assert len(views) == 12
    straight = beside.estimate_directions(GeometricGaze(), views)
    # Mean error of pitch and yaw: 4.1 and 2.8 degrees. A normal error of the estimator's sigma
    # (4.3 and 3 degrees) has a mean of 0.8 times that; here all views are of two people.
    pitch, yaw = np.degrees(np.abs(straight).mean(0))
    assert pitch < 5
    assert yaw < 3.5
    looks = beside.detect_faces(list(turned_photographs(tracker)), tracker)
    truth = np.array([one.picture.gaze for one in looks])
    seen = beside.estimate_directions(GeometricGaze(), looks)
    assert len(looks) == 14
    assert np.corrcoef(seen[:, 1], truth[:, 1])[0, 1] > 0.95


def test_errors_count_where_all_gave_an_answer() -> None:
    truth = np.zeros((3, 2))
    one = np.array([[0.1, 0.0], [0.0, 0.2], [np.nan, np.nan]])
    other = np.array([[0.0, 0.05], [np.nan, 0.0], [0.3, 0.0]])
    found = beside.mean_errors({"one": one, "other": other}, truth)
    assert found == pytest.approx({"one": math.degrees(0.1), "other": math.degrees(0.05)})
    nothing = beside.mean_errors({"one": one[2:], "other": other[2:]}, truth[2:])
    assert all(math.isnan(value) for value in nothing.values())
    apart = beside.scatter(np.array([[0, 0.1], [0, -0.1], [0, 3.0]]), ["a", "a", "b"])
    assert apart == pytest.approx(math.degrees(0.2 / 3))
