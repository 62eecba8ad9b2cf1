"""The probability of eye contact: against sampling, monotone, honest, and on photographs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from faces_scene import photo
from gaze_scene import CAMERA, Actor

from face_perception.faces import load_tracker
from face_perception.gaze import EyeContact, GeometricGaze, People, PeopleStore
from face_perception.types import Camera, Frame

DEG = math.radians(1)


@pytest.mark.parametrize("sigma", [1 * DEG, 2 * DEG, 5 * DEG])
@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_probabilities_come_true(sigma: float, distance: float) -> None:
    """Drawn from the model's own scene: of the gazes given p, a share p meets the camera."""
    model, random, number = EyeContact(), np.random.default_rng(1), 4000
    seeks = random.random(number) < model.prior
    disc = math.atan2(model.radius, distance)
    radius, angle = disc * np.sqrt(random.random(number)), random.uniform(0, 2 * math.pi, number)
    inside = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    true = np.where(seeks[:, None], inside, random.normal(0, model.elsewhere, (number, 2)))
    met = np.linalg.norm(true, axis=1) <= disc
    angles = np.linalg.norm(true + random.normal(0, sigma, (number, 2)), axis=1)
    said = np.array([model(float(a), distance, sigma) for a in angles])
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 0.7), (0.7, 0.9), (0.9, 1.01)):
        these = (said >= low) & (said < high)
        if these.sum() > 30:
            slack = 3.5 * 0.5 / math.sqrt(these.sum())
            assert met[these].mean() == pytest.approx(said[these].mean(), abs=slack)
    assert said.mean() == pytest.approx(met.mean(), abs=0.03)


def test_it_falls_with_the_angle_and_a_calibrated_gaze_decides() -> None:
    model = EyeContact()
    for sigma in (0.0, 0.5 * DEG, 2 * DEG, 5 * DEG):
        for distance in (0.1, 0.6, 2.0, 10.0):
            values = [model(a * DEG, distance, sigma) for a in range(0, 181, 1)]
            assert all(0 <= v <= 1 for v in values)
            assert (np.diff(values) <= 1e-6).all()
    assert model(0.0, 1.0, 2 * DEG) > model(0.0, 1.0, 5 * DEG) > 0.9
    assert model(12 * DEG, 1.0, 2 * DEG) < 0.01 < 0.3 < model(12 * DEG, 1.0, 5 * DEG)
    # Nearer, the same place beside the lens is a larger angle.
    assert model(8 * DEG, 0.4, 2 * DEG) > model(8 * DEG, 2.0, 2 * DEG)


def test_against_a_sum_over_the_disc() -> None:
    from face_perception.gaze.eye_contact import _inside

    random = np.random.default_rng(0)
    for sigma, radius, offset in ((0.05, 0.1, 0.07), (0.01, 0.06, 0.055), (0.001, 0.3, 0.299)):
        points = random.normal(0, sigma, (400_000, 2)) + (offset, 0)
        share = (np.hypot(*points.T) <= radius).mean()
        assert _inside(offset, radius, sigma) == pytest.approx(share, abs=0.004)
    assert _inside(0.0, 1.0, 0.01) == pytest.approx(1.0, abs=1e-6)


def test_what_is_not_known_is_nan(tmp_path) -> None:
    model = EyeContact()
    assert math.isnan(model(math.nan, 1.0, 0.1))
    assert math.isnan(model(0.1, math.nan, 0.1))
    assert math.isnan(model(0.1, 0.0, 0.1))
    people = People(PeopleStore(tmp_path), {"geometric": GeometricGaze.revision})
    shut = Actor("face_1", blinks=lambda t: True)
    (gaze,) = people.update(0.0, CAMERA, [shut.face(0)], [shut.gaze(0)])
    assert math.isnan(gaze.eye_contact)


@pytest.mark.parametrize("settings", [{"prior": 0.0}, {"prior": 1.0}, {"radius": -1.0}])
def test_constants_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        EyeContact(**settings)


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_people_on_photographs_look_into_the_lens(name: str, tmp_path) -> None:
    image = photo(name)
    camera = Camera.assume(image.shape[1], image.shape[0])
    faces = load_tracker().detect(Frame(image, 0.0, camera))
    gazes = [GeometricGaze().estimate(camera, face, 0.0) for face in faces]
    (gaze,) = People(PeopleStore(tmp_path), {"geometric": GeometricGaze.revision}).update(
        0.0, camera, faces, gazes
    )
    assert gaze.eye_contact > 0.8
