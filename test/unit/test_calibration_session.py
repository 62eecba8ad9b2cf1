"""Tests which samples a calibration session keeps, which it refuses, and its hints."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from gaze_scene import CAMERA, Actor, run

from face_perception.gaze import GeometricGaze
from face_perception.gaze.eyelids import measure_lids
from face_perception.people import (
    CalibrationRefused,
    CalibrationSession,
    camera_target,
    face_target,
    point_target,
    proposed_targets,
)

DEG = math.radians(1)


def found(session: CalibrationSession) -> tuple[float, float]:
    """Returns the bias of yaw and pitch."""
    made = session.result().correction
    return made.bias_yaw, made.bias_pitch


def test_a_person_is_calibrated_image_by_image() -> None:
    anna = Actor("face_1", bias=(3 * DEG, -2 * DEG), blinks=lambda t: int(t * 10) % 10 == 3)
    session = CalibrationSession("face_1")
    run(session, anna)
    assert session.finished
    progress = session.progress()
    assert (progress.kept, progress.done) == (30, 1.0)
    assert progress.reasons["eyes closed"] >= 3
    assert progress.rejected == sum(progress.reasons.values())
    assert found(session) == pytest.approx((3 * DEG, -2 * DEG), abs=0.1 * DEG)
    assert session.result().samples == 30


@pytest.mark.parametrize("at", [(0.0, 0.0, 0.7), (0.35, -0.2, 1.0), (-0.4, 0.25, 1.4)])
@pytest.mark.parametrize("roll", [0.0, 0.4])
def test_the_bias_does_not_depend_on_where_the_face_is(
    at: tuple[float, float, float], roll: float
) -> None:
    session = CalibrationSession("face_1")
    run(session, Actor("face_1", at=at, roll=roll, bias=(4 * DEG, 3 * DEG)))
    assert found(session) == pytest.approx((4 * DEG, 3 * DEG), abs=0.05 * DEG)


def test_several_targets_one_after_the_other() -> None:
    bert = Actor("face_2", at=(0.5, 0.0, 1.2))
    point = (0.3, -0.2, 0.1)
    targets = [camera_target(), point_target(point), face_target("face_2")]
    session = CalibrationSession("face_1", targets, samples=15)
    hints = []

    def looks_at(t: float) -> tuple[float, float, float]:
        hints.append(session.progress().hint)
        return [(0.0, 0.0, 0.0), point, bert.origin][session.progress().target]

    run(session, Actor("face_1", looks_at=looks_at, bias=(-2 * DEG, 1 * DEG)), bert)
    fit = session.result()
    assert (fit.samples, fit.targets) == (45, 3)
    assert found(session) == pytest.approx((-2 * DEG, 1 * DEG), abs=0.1 * DEG)
    assert session.progress().reasons == {"on the way to the target": 19}
    assert dict.fromkeys(hints) == {
        "look at the camera": None,
        "look at the point (0.30, -0.20, 0.10)": None,
        "look at face_2": None,
    }


def test_the_liar_who_looks_elsewhere_half_of_the_time() -> None:
    there = (0.25, 0.0, 0.0)
    liar = Actor("face_1", looks_at=lambda t: there if int(t * 10) % 2 else (0.0, 0.0, 0.0))
    session = CalibrationSession("face_1")
    run(session, liar, images=400)
    with pytest.raises(CalibrationRefused, match=r"elsewhere|two places"):
        session.result()


def test_the_head_must_turn_where_that_is_asked_for() -> None:
    still, turning = Actor("face_1"), Actor("face_1", turn=lambda t: 0.3 * math.sin(t))
    session = CalibrationSession("face_1", head_range=0.2, seconds=12)
    run(session, still, images=200)
    assert session.progress().reasons["head not varied"] > 30
    with pytest.raises(CalibrationRefused, match=r"the head turned by 0° .* 11°"):
        session.result()
    session = CalibrationSession("face_1", head_range=0.2, samples=40)
    run(session, still, images=40)
    assert session.progress().hint == "keep looking at the camera and turn your head a little"
    run(session, turning, start=10.0)
    assert session.result().samples == 40


def test_faces_that_are_lost_or_never_there() -> None:
    session = CalibrationSession("face_1")
    run(session, Actor("face_1", seen=lambda t: t < 2), Actor("face_2"))
    with pytest.raises(CalibrationRefused, match="face_1 was lost after 13 samples; seen: face_2"):
        session.result()
    assert session.progress().reasons["face lost"] > 10
    session = CalibrationSession("face_9")
    run(session, Actor("face_1"))
    with pytest.raises(CalibrationRefused, match="there is no face face_9; seen: face_1"):
        session.result()


def test_a_target_that_is_not_there() -> None:
    session = CalibrationSession("face_1", [face_target("face_7")])
    run(session, Actor("face_1"))
    with pytest.raises(CalibrationRefused, match="face_7 was not seen: face_7 is not seen; seen"):
        session.result()


def test_eyes_that_stay_closed_and_images_that_repeat() -> None:
    session = CalibrationSession("face_1", seconds=3)
    run(session, Actor("face_1", blinks=lambda t: True))
    with pytest.raises(CalibrationRefused, match=r"0 usable samples .*eyes closed \d+"):
        session.result()
    session = CalibrationSession("face_1")
    run(session, Actor("face_1"), images=3, interval=0.0)
    assert session.progress().reasons["no new frame"] == 2
    session.add_image(-10.0, CAMERA, {}, {})
    with pytest.raises(CalibrationRefused, match="stamps went back"):
        session.result()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"samples": 5}, "at least 10"),
        ({"samples": -1}, "samples"),
        ({"seconds": math.nan}, "seconds"),
        ({"head_range": 2.0}, "head_range"),
    ],
)
def test_goals_out_of_range(settings: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CalibrationSession("face_1", **settings)  # type: ignore[arg-type]


# Five targets.


def five(distance: float = 0.8, **more: float) -> CalibrationSession:
    return CalibrationSession("face_1", proposed_targets(5, distance), samples=10, **more)


def looks_at_each(session: CalibrationSession, **more: object) -> Actor:
    """Returns the gaze of somebody at 0.8 m who looks at the present target of a session."""

    def looks_at(t: float) -> tuple[float, float, float]:
        target = session.targets[session.progress().target]
        x, y, z = target.locate({}).tolist()
        return x, y, z

    return Actor("face_1", at=(0.0, 0.0, 0.8), looks_at=looks_at, **more)  # type: ignore[arg-type]


def test_proposed_targets_say_where_they_are() -> None:
    """Left and right are those of the person, who faces the lens: image left is the person's
    right.
    """
    (lens,) = proposed_targets(1)
    assert (lens.name, lens.locate({}).tolist()) == ("the camera", [0, 0, 0])
    targets = proposed_targets(5, 2.0)
    assert [target.name for target in targets] == [
        "the camera",
        "the mark 54 cm to your right and 35 cm above the lens",
        "the mark 54 cm to your left and 35 cm above the lens",
        "the mark 54 cm to your left and 35 cm below the lens",
        "the mark 54 cm to your right and 35 cm below the lens",
    ]
    x, y, z = targets[1].locate({})
    assert (math.atan2(-x, 2.0), math.atan2(-y, 2.0)) == pytest.approx((15 * DEG, 10 * DEG))
    assert z == 0
    for count, distance in ((3, 1.0), (5, 0.0), (5, math.nan), (5, math.inf)):
        with pytest.raises(ValueError, match=r"sets of 1 or 5|distance must be"):
            proposed_targets(count, distance)


def test_five_targets_find_gain_and_bias() -> None:
    session = five()
    hints = []
    person = looks_at_each(session, gain=(1.2, 2.5), bias=(2 * DEG, -4 * DEG))
    session.priors = {"scripted": GeometricGaze.prior}
    for k in range(120):
        hints.append(session.progress().hint)
        run(session, person, images=1, start=k * 0.1)
    fit = session.result()
    assert (fit.targets, fit.samples) == (5, 50)
    assert 1.1 < fit.correction.gain_yaw < 1.25
    assert 2.3 < fit.correction.gain_pitch < 2.6
    assert fit.expected_residual < GeometricGaze.prior.residual
    assert list(dict.fromkeys(hints))[:3] == [
        "look at the camera",
        "look at the mark 21 cm to your right and 14 cm above the lens",
        "look at the mark 21 cm to your left and 14 cm above the lens",
    ]


def test_who_looks_at_the_lens_only_is_told_which_mark() -> None:
    session = five()
    run(session, Actor("face_1", at=(0.0, 0.0, 0.8)), images=200)
    assert session.finished
    with pytest.raises(CalibrationRefused, match=r"target \d \(the mark 21 cm|did not follow"):
        session.result()


def test_a_target_that_nobody_looked_at_is_named() -> None:
    """If one of five targets has no sample, that is another set of targets than the requested
    one.
    """
    session = five(seconds=2.0)
    closed = looks_at_each(session, blinks=lambda t: session.progress().target == 3)
    run(session, closed, images=200)
    missing = "the mark 21 cm to your left and 14 cm below the lens"
    with pytest.raises(CalibrationRefused, match=f"no usable image .* {missing}: "):
        session.result()
    # The video ends early, so the remaining targets were not looked at.
    session = five()
    run(session, looks_at_each(session), images=25)
    session.stop()
    with pytest.raises(CalibrationRefused, match=r"no usable image .* or .*a video must show"):
        session.result()


def test_lids_are_not_known_without_a_pose() -> None:
    face = Actor("face_1").face(0.0)
    lids = measure_lids(dataclasses.replace(face, pose=None))
    assert np.isnan([lids.upper, lids.lower, lids.brow]).all()
    assert np.isfinite(measure_lids(face).upper)
