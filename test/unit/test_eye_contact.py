"""Tests the probability that a gaze meets a target: by sampling, and on photographs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from gaze_scene import CAMERA, Actor

from face_perception.gaze import EyeContact, GeometricGaze
from face_perception.gaze_probability import (
    ElsewherePrior,
    GazeErrorModel,
    aimed_likelihood,
    gaze_likelihoods,
    offset_from_line,
    target_angle,
)
from face_perception.people import CalibrationStore, PersonRegistry
from face_perception.types import Eyes, Gaze

DEG = math.radians(1)
UNCALIBRATED = GazeErrorModel(3 * DEG, 4 * DEG, 0.94, 0.39)


# A person who was calibrated with one target, 5 degrees to the side of the lens and 12 below it.
ONE_TARGET = GazeErrorModel(2.5 * DEG, 3.2 * DEG, 0.94, 0.59, 0.2, 0.18, -5 * DEG, -12 * DEG)


@pytest.mark.parametrize("error", [GazeErrorModel(1 * DEG, 2 * DEG), UNCALIBRATED, ONE_TARGET])
@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_probabilities_come_true(error: GazeErrorModel, distance: float) -> None:
    """Samples from the model's own scene: of the gazes with probability p, a share p meets the
    camera.
    """
    model, random, number = EyeContact(), np.random.default_rng(1), 4000
    seeks = random.random(number) < model.prior
    disc = target_angle(model.radius, distance)
    radius, angle = disc * np.sqrt(random.random(number)), random.uniform(0, 2 * math.pi, number)
    inside = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    other = model.elsewhere
    spread, mean = (other.yaw_spread, other.pitch_spread), (0.0, other.pitch)
    true = np.where(seeks[:, None], inside, random.normal(mean, spread, (number, 2)))
    met = np.linalg.norm(true, axis=1) <= disc
    about = true - (error.yaw_centre, error.pitch_centre)
    unsure, sigma = np.array([(e.gain_sigma, e.sigma) for e in error.axes]).T
    gain = random.normal([e.gain for e in error.axes], unsure, (number, 2))
    measured = (true - about) + gain * about + random.normal(0, sigma, (number, 2))
    said = np.array([model.probability(float(y), float(p), distance, error) for y, p in measured])
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 0.7), (0.7, 0.9), (0.9, 1.01)):
        these = (said >= low) & (said < high)
        if these.sum() > 30:
            slack = 3.5 * 0.5 / math.sqrt(these.sum())
            assert met[these].mean() == pytest.approx(said[these].mean(), abs=slack)
    assert said.mean() == pytest.approx(met.mean(), abs=0.03)


def test_it_falls_with_the_angle_and_a_calibrated_gaze_decides() -> None:
    model = EyeContact()
    for sigma in (0.0, 2 * DEG, 5 * DEG):
        error = GazeErrorModel(max(sigma, 1e-6), max(sigma, 1e-6))
        for distance in (0.1, 0.6, 2.0, 10.0):
            values = [model.probability(a * DEG, 0.0, distance, error) for a in range(0, 90)]
            assert all(0 <= v <= 1 for v in values)
            assert (np.diff(values) <= 1e-3).all()
    sharp, blunt = GazeErrorModel(2 * DEG, 2 * DEG), GazeErrorModel(5 * DEG, 5 * DEG)
    assert model.probability(0, 0, 1.0, sharp) > model.probability(0, 0, 1.0, blunt) > 0.8
    assert (
        model.probability(12 * DEG, 0, 1.0, sharp)
        < 0.01
        < model.probability(12 * DEG, 0, 1.0, blunt)
    )


def test_pitch_that_is_underestimated_is_weighed_as_such() -> None:
    """A calibrated gaze distinguishes 10 degrees down from the lens. Without a calibration, such a
    look is read as 4 degrees, which look less like the lens than 4 true degrees.
    """
    model = EyeContact()
    calibrated = GazeErrorModel(2.5 * DEG, 3 * DEG)
    assert model.probability(0, -10 * DEG, 1.0, calibrated) < 0.35
    assert model.probability(0, -15 * DEG, 1.0, calibrated) < 0.01
    shrunk = dataclasses.replace(calibrated, pitch_gain=0.39)
    assert model.probability(0, -4 * DEG, 1.0, shrunk) < model.probability(
        0, -4 * DEG, 1.0, calibrated
    )
    assert model.probability(0, -4 * DEG, 1.0, UNCALIBRATED) > 0.5, "10 degrees down cannot be told"


def test_an_error_is_stated_about_its_centre() -> None:
    """A person who was calibrated 20 degrees below the lens and looks at it is read 8 degrees below
    it.
    """
    error, model = (
        GazeErrorModel(2 * DEG, 3 * DEG, 1.0, 0.6, 0.0, 0.0, 0.0, -20 * DEG),
        EyeContact(),
    )
    at_lens = -20 * 0.4 * DEG
    assert model.probability(0.0, at_lens, 1.0, error) > 0.8
    assert model.probability(0.0, -20 * DEG, 1.0, error) < 0.1
    assert model.probability(0.0, at_lens, 1.0, error) > model.probability(0.0, 0.0, 1.0, error)
    # The same gaze, relative to a line 20 degrees lower, is right on average.
    lower = error.shifted_by(0.0, -20 * DEG)
    assert lower.axes[1].mean(0.0) == pytest.approx(0.0)
    assert model.probability(0.0, 0.0, 1.0, lower) > 0.8


def test_an_unsure_gain_matters_only_away_from_the_centre() -> None:
    sure = GazeErrorModel(2 * DEG, 3 * DEG)
    unsure = dataclasses.replace(sure, yaw_gain_sigma=0.3)
    model = EyeContact()
    for yaw in (0.0, 4 * DEG, 8 * DEG):
        assert model.probability(yaw, 0.0, 2.0, unsure) == pytest.approx(
            model.probability(yaw, 0.0, 2.0, sure), abs=0.02
        )
    assert math.isnan(
        model.probability(0.0, 0.0, 1.0, dataclasses.replace(sure, yaw_gain_sigma=math.nan))
    )


def test_who_looks_far_beside_a_target_does_not_seek_it() -> None:
    """The shortcut for targets that are too far away does not change the probability of the
    others.
    """
    elsewhere = ElsewherePrior()
    for error in (ONE_TARGET, GazeErrorModel(0.05, 0.08, 0.9, 0.4)):
        for yaw in np.linspace(-1, 1, 41).tolist():
            for pitch in np.linspace(-1, 1, 41).tolist():
                seeking, _, _ = gaze_likelihoods(yaw, pitch, 0.07, error, elsewhere)
                assert aimed_likelihood(yaw, pitch, 0.07, error) == pytest.approx(seeking, abs=1e-9)
    assert aimed_likelihood(1.0, 0.0, 0.07, error) == aimed_likelihood(0.0, 1.0, 0.07, error) == 0.0


def test_densities_against_sums_over_the_disc() -> None:
    random = np.random.default_rng(0)
    error, elsewhere, radius = GazeErrorModel(0.05, 0.07, 0.9, 0.4), ElsewherePrior(), 0.06
    points = random.uniform(-radius, radius, (400_000, 2))
    points = points[np.hypot(*points.T) <= radius]
    sigma, gain = np.array([0.05, 0.07]), np.array([0.9, 0.4])

    def normal(x: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.exp(-((x / s) ** 2).sum(-1) / 2) / (2 * math.pi * s[0] * s[1])

    spread = np.array([elsewhere.yaw_spread, elsewhere.pitch_spread])
    for measured in ((0.0, 0.0), (0.1, -0.05), (0.2, 0.1)):
        given = normal(np.array(measured) - gain * points, sigma)
        by_chance = given * normal(points - (0, elsewhere.pitch), spread)
        seeking, _, chance = gaze_likelihoods(*measured, radius, error, elsewhere)
        assert seeking == pytest.approx(given.mean(), rel=0.05, abs=0.1)
        assert chance == pytest.approx(by_chance.mean() * math.pi * radius**2, rel=0.05, abs=0.02)


def test_offsets_are_signed_against_the_head() -> None:
    line = np.array([0.0, 0.0, -1.0])
    right, up = np.array([0.1, 0.0, -1.0]), np.array([0.0, -0.1, -1.0])
    assert offset_from_line(right, line) == pytest.approx((math.atan(0.1), 0))
    assert offset_from_line(up, line) == pytest.approx((0, math.atan(0.1)))
    # The head lies on its side, with its top towards image right.
    assert offset_from_line(right, line, np.array([1.0, 0.0, 0.0])) == pytest.approx(
        (0, math.atan(0.1))
    )
    assert all(math.isnan(v) for v in offset_from_line(np.zeros(3), line))
    assert all(math.isnan(v) for v in offset_from_line(right, np.zeros(3)))


def test_what_is_not_known_is_nan_and_closed_eyes_are_none(tmp_path) -> None:
    model = EyeContact()
    assert math.isnan(model.probability(math.nan, 0.0, 1.0, UNCALIBRATED))
    assert math.isnan(model.probability(0.1, 0.0, math.nan, UNCALIBRATED))
    assert math.isnan(model.probability(0.1, 0.0, 0.0, UNCALIBRATED))
    assert math.isnan(model.probability(0.1, 0.0, 1.0, GazeErrorModel(math.nan, 0.1)))
    people = PersonRegistry(CalibrationStore(tmp_path), {"geometric": GeometricGaze.revision})
    shut = Actor("face_1", blinks=lambda t: True)

    def contact(eyes: Eyes) -> float:
        gaze = dataclasses.replace(shut.gaze(0), eyes=eyes)
        (found,) = people.update(0.0, CAMERA, [shut.face(0)], [gaze])
        return found.eye_contact

    assert math.isnan(contact(Eyes.BLINK))
    assert math.isnan(contact(Eyes.UNKNOWN))
    assert contact(Eyes.CLOSED) == 0.0


@pytest.mark.parametrize("settings", [{"prior": 0.0}, {"prior": 1.0}, {"radius": -1.0}])
def test_constants_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        EyeContact(**settings)


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_people_on_photographs_look_into_the_lens(name: str, photo_faces, tmp_path) -> None:
    shot, face = photo_faces[name]
    camera, faces = shot.camera, [face]
    gazes: list[Gaze] = [GeometricGaze().estimate(camera, face, 0.0)]
    (gaze,) = PersonRegistry(
        CalibrationStore(tmp_path), {"geometric": GeometricGaze.revision}
    ).update(0.0, camera, faces, gazes)
    assert gaze.eyes == Eyes.OPEN
    assert gaze.eye_contact > 0.6
