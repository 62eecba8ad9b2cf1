"""Tests gaze on rendered heads whose eyes truly turn (test/data/rendered_heads).

There are four people with nine looks each with the head straight, and three with the head turned.
The irises in the pictures move as far as a turn of the eye moves them, so a wrong gain cannot pass.
The figures in the docstrings were measured on these pictures by the tests. tools/render_heads.py
says how the heads differ from people.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from face_perception import faces
from face_perception.faces import flip_averaging as mirror
from face_perception.gaze import (
    GAZE_NETWORKS,
    SMALL_GAZE,
    GazeEstimator,
    GeometricGaze,
    estimate_gazes,
    load_gaze,
    normalized_camera_rotation,
    to_normalized_angles,
)
from face_perception.gaze import eyeballs as gaze_eyes
from face_perception.gaze.eyelids import measure_lids
from face_perception.inference import find_card
from face_perception.people import CalibrationSamples, fit_calibration
from face_perception.types import Camera, Face, Frame, Gaze

FOLDER = Path(__file__).parents[1] / "data" / "rendered_heads"
TARGETS = ((0, 0), (-20, 0), (20, 0), (0, -10), (0, 10))  # of a calibration, degrees
IMAGES = 4  # samples of each target, all of the same picture, as from a camera without noise


@dataclass(frozen=True)
class View:
    """A picture and its mirror image, the face in both, and the truth."""

    person: str
    look: tuple[float, float]  # yaw and pitch, degrees
    head: tuple[float, float]
    frames: tuple[Frame, Frame]
    faces: tuple[Face, Face]

    def gaze(self, estimator: GazeEstimator | None = None) -> Gaze:
        """Returns the gaze as the product gives it for a still picture: the mean of both views.

        None means the geometric estimator.
        """
        estimator = estimator or GeometricGaze()
        gazes = []
        for frame, face in zip(self.frames, self.faces, strict=True):
            estimator.reset()
            gazes += estimate_gazes(estimator, frame, [face])
        return mirror.average_gazes(*gazes)

    def angles(self, direction: np.ndarray) -> tuple[float, float]:
        """Returns yaw and pitch of a direction in the normalized camera of this face, radians."""
        return to_normalized_angles(
            normalized_camera_rotation(self.frames[0].camera, self.faces[0]), direction
        )

    @property
    def estimate(self) -> tuple[float, float]:
        return self.angles(self.gaze().direction)

    @property
    def truth(self) -> tuple[float, float]:
        yaw, pitch = np.radians(self.look)
        level = math.cos(pitch)
        direction = [level * math.sin(yaw), -math.sin(pitch), -level * math.cos(yaw)]
        return self.angles(np.array(direction))


@pytest.fixture(scope="module")
def views() -> list[View]:
    """Returns all pictures. Each must show exactly one face, also in the mirror image."""
    tracker = faces.load_tracker()
    truth = json.loads((FOLDER / "truth.json").read_text())
    camera = Camera(**truth["camera"])
    out = []
    for picture in truth["pictures"]:
        image = cv2.imread(str(FOLDER / picture["file"]), cv2.IMREAD_COLOR)
        frame = Frame(np.ascontiguousarray(image[..., ::-1]), 0.0, camera)
        frames = (frame, mirror.mirror_frame(frame))
        (face,), (mirrored,) = (tracker.detect(one) for one in frames)
        out.append(
            View(
                picture["person"],
                (picture["yaw_deg"], picture["pitch_deg"]),
                (picture["head_yaw_deg"], picture["head_pitch_deg"]),
                frames,
                (face, mirrored),
            )
        )
    return out


def by_person(views: list[View]) -> dict[str, list[View]]:
    """Returns the views with a straight head, by person."""
    straight = [view for view in views if view.head == (0, 0)]
    return {
        name: [view for view in straight if view.person == name]
        for name in sorted({view.person for view in straight})
    }


def gains(views: list[View], estimator: GazeEstimator | None = None) -> np.ndarray:
    """Returns the slopes [people, 2] of estimated on true yaw, and on true pitch (least
    squares).
    """
    out = []
    for looks in by_person(views).values():
        estimates = np.array([view.angles(view.gaze(estimator).direction) for view in looks])
        truths = np.array([view.truth for view in looks])
        out.append([np.polyfit(truths[:, axis], estimates[:, axis], 1)[0] for axis in (0, 1)])
    return np.array(out)


def test_the_gain_of_yaw_is_not_that_of_a_wrong_radius(
    views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured: 1.14 to 1.27 of the true yaw. 12 mm gives 0.74 to 0.83, less than for any person.

    Real people have 0.94: the mesh network follows the rendered irises further (9.8 mm per unit of
    direction, 7.5 on people). A part of it is that the rendered heads are 3 to 9 % smaller than the
    average head.
    """
    found = gains(views)[:, 0]
    assert found.min() > 1.0
    assert found.max() < 1.45
    monkeypatch.setattr(gaze_eyes, "_RADIUS", 0.012)
    assert gains(views)[:, 0].max() < 0.95


def test_the_gain_of_pitch_is_what_the_estimator_says(views: list[View]) -> None:
    """Measured: 0.32 to 0.54, mean 0.40. The estimator states 0.39, as measured on people."""
    found = gains(views)[:, 1]
    assert found.mean() == pytest.approx(GeometricGaze.prior.pitch.scale, abs=0.08)
    assert found == pytest.approx(np.full(4, found.mean()), abs=0.15)


def lens_errors(views: list[View]) -> np.ndarray:
    """Returns errors [N, 2] of yaw and pitch, degrees, of the looks at the lens."""
    lens = [view for view in views if view.look == (0, 0)]
    return np.degrees([np.subtract(view.estimate, view.truth) for view in lens])


def test_people_at_the_lens_are_seen_to_look_at_it(views: list[View]) -> None:
    """With straight heads yaw is off by 0 to 2.2 degrees.

    Pitch is off by 1.1 and -5 degrees for two people, and by -11 and -15 for two whose pupils are
    only 0.5 mm above the line of the canthi (people's: 2.4 mm). Without calibration such a bias
    limits the pitch.
    """
    straight = lens_errors([view for view in views if view.head == (0, 0)])
    assert len(straight) == 4
    assert np.abs(straight[:, 0]).max() < 6
    assert np.sum(np.hypot(*straight.T) < 6) >= 2


def test_the_eyes_and_not_the_head_decide(views: list[View]) -> None:
    """Heads turned by 15 degrees, eyes on the lens: yaw is off by 2.6 to 8.7, on average 5.5
    degrees.

    That is 0.23 to 0.49 of the turn. On people it is 0.07 (237 faces that look at the lens).
    """
    turned = lens_errors([view for view in views if view.head != (0, 0)])
    assert len(turned) == 8
    assert np.abs(turned[:, 0]).mean() < 7
    assert np.abs(turned[:, 0]).max() < 12
    # Heads turned to the right, looks 15 degrees to the left.
    beside = [view for view in views if view.look[0] < 0 < view.head[0]]
    off = [math.copysign(1, view.truth[0]) * view.estimate[0] for view in beside]
    assert len(off) == 4
    assert min(off) > math.radians(5)


def samples_of(views: list[View]) -> CalibrationSamples:
    """Returns samples in which each view counts ``IMAGES`` times, as one target."""
    cues = [measure_lids(view.faces[0]) for view in views]
    return CalibrationSamples.from_arrays(
        np.repeat([view.estimate for view in views], IMAGES, axis=0),
        np.repeat([view.truth for view in views], IMAGES, axis=0),
        np.repeat(np.arange(len(views)), IMAGES),
        np.repeat([(cue.upper, cue.lower, cue.brow) for cue in cues], IMAGES, axis=0),
    )


def test_five_targets_calibrate_gain_and_bias(views: list[View]) -> None:
    """Measures the mean error at four held-out looks, by person.

    Uncalibrated 4.0 to 13.7 degrees, mean 8.7. With a bias of the same targets 3.9 to 6.6, mean
    4.8. Calibrated 1.6 to 4.0, mean 2.4; the fit expects 2.7 to 5.4.
    """
    errors = []
    for looks in by_person(views).values():
        targets = [view for view in looks if view.look in TARGETS]
        held_out = [view for view in looks if view.look not in TARGETS]
        assert (len(targets), len(held_out)) == (5, 4)
        samples = samples_of(targets)
        fit = fit_calibration(samples, GeometricGaze.prior)
        assert fit.targets == 5
        bias = np.mean(samples.truths - samples.estimates, axis=0)
        truths = np.array([view.truth for view in held_out])
        raw = np.array([view.estimate for view in held_out])
        corrected = [
            fit.correction.apply(*view.estimate, measure_lids(view.faces[0])) for view in held_out
        ]
        off = [np.hypot(*(one - truths).T).mean() for one in (raw, raw + bias, corrected)]
        errors.append([*off, fit.expected_residual])
    raw_off, bias_off, calibrated, expected = np.degrees(errors).T
    assert calibrated.mean() < 3.5
    assert calibrated.max() < 6
    assert bias_off.mean() > 4, "else the gain does not matter here"
    assert (calibrated < bias_off - 0.5).all()
    assert (calibrated < raw_off - 1).all()
    # The error is not above the expected one, as far as four looks can show.
    assert expected.mean() == pytest.approx(calibrated.mean(), abs=2)


def test_the_small_network_sees_more_of_looks_up_and_down(views: list[View]) -> None:
    network = load_gaze(SMALL_GAZE)
    found = gains(views, network)
    assert found[:, 1].mean() > 1.3 * gains(views)[:, 1].mean()
    assert found[:, 0].min() > 0.8
    assert found[:, 0].max() < 1.25
    lens = next(view for view in views if view.look == (0, 0))
    assert lens.gaze(network).source == SMALL_GAZE


def test_the_card_of_the_small_network_says_how_it_was_trained() -> None:
    card = find_card(SMALL_GAZE, GAZE_NETWORKS)
    assert card.licence.startswith("Apache-2.0")
    assert "rendered people" in card.origin
    assert card.path.stat().st_size < 500_000
    judged = card.facts["evaluation"]
    assert judged["error_deg"] < 0.7 * judged["error_of_geometric_deg"]
    assert judged["gain_pitch"] > judged["gain_pitch_of_geometric"]
