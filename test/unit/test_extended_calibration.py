"""Tests calibrations that are extended: new sessions add their targets to the earlier ones."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from gaze_scene import Actor, run

from face_perception.gaze import GeometricGaze, LidCue
from face_perception.people import (
    Calibration,
    CalibrationRefused,
    CalibrationSession,
    CalibrationStore,
    CalibrationTarget,
    PersonRegistry,
    proposed_targets,
)
from face_perception.people.calibration_extension import MAX_KNOWN_LOOKS, KnownLook, looks_of
from face_perception.people.calibration_samples import TargetMeans

DEG = math.radians(1)
FIVE = proposed_targets(5, 0.8)


def registry(folder: Path, *, extend: bool, revision: str = "1") -> PersonRegistry:
    return PersonRegistry(
        CalibrationStore(folder),
        {"scripted": revision},
        priors={"scripted": GeometricGaze.prior},
        extend=extend,
    )


def calibrate(
    people: PersonRegistry,
    targets: list[CalibrationTarget],
    start: float,
    beside: float = 0.0,
    wrong: int | None = None,
) -> Calibration:
    """Calibrates a person who looks at each target in turn, or ``beside`` metres next to it.

    With ``wrong``, only the look at the target of this number is beside it.
    """
    session = CalibrationSession("face_1", targets, samples=10)

    def looks_at(t: float) -> tuple[float, float, float]:
        x, y, z = session.targets[session.progress().target].locate({}).tolist()
        off = beside if wrong in (None, session.progress().target) else 0.0
        return x + off, y, z

    person = Actor(
        "face_1",
        at=(0.0, 0.0, 0.8),
        looks_at=looks_at,
        gain=(1.2, 2.5),
        bias=(2 * DEG, -4 * DEG),
    )
    people.begin_session(session)
    run(session, person, images=150, people=people, start=start)
    people.finish_session(session, "anna")
    return people.store.get("anna")["scripted"]


def test_single_targets_add_up_to_a_calibration_with_gain(tmp_path: Path) -> None:
    people = registry(tmp_path / "added", extend=True)
    counts = []
    for k, target in enumerate(FIVE):
        added = calibrate(people, [target], 100.0 * k)
        counts.append(added.targets)
    assert counts == [1, 2, 3, 4, 5]
    at_once = calibrate(registry(tmp_path / "at_once", extend=False), FIVE, 0.0)
    for name in ("gain_yaw", "gain_pitch", "bias_yaw", "bias_pitch"):
        assert getattr(added.correction, name) == pytest.approx(
            getattr(at_once.correction, name), abs=0.01
        )
    assert added.expected_residual == pytest.approx(at_once.expected_residual, rel=0.05)


def test_by_default_a_new_calibration_replaces_the_old_one(tmp_path: Path) -> None:
    people = registry(tmp_path, extend=False)
    calibrate(people, FIVE, 0.0)
    replaced = calibrate(people, FIVE[:1], 100.0)
    assert replaced.targets == len(replaced.looks) == 1
    assert replaced.correction.gain_pitch == GeometricGaze.prior.pitch.cautious


def test_looks_of_another_revision_are_not_used(tmp_path: Path) -> None:
    calibrate(registry(tmp_path, extend=True), FIVE, 0.0)
    assert calibrate(registry(tmp_path, extend=True, revision="2"), FIVE[:1], 100.0).targets == 1


def test_a_look_that_contradicts_the_earlier_ones_changes_nothing(tmp_path: Path) -> None:
    people = registry(tmp_path, extend=True)
    before = calibrate(people, FIVE, 0.0)
    with pytest.raises(CalibrationRefused, match="the new looks contradict the earlier ones"):
        calibrate(people, FIVE[:1], 100.0, beside=0.2)
    assert people.store.get("anna")["scripted"] == before


def test_the_expected_error_stays_high_after_a_target_was_left_out(tmp_path: Path) -> None:
    """Extending by looks that fit must not make the gaze seem as good as that of other people."""
    usual = GeometricGaze.prior.residual
    people = registry(tmp_path, extend=True)
    made = calibrate(people, FIVE, 0.0, beside=0.5, wrong=2)
    assert (made.targets, made.least_residual) == (4, usual)
    extended = calibrate(people, FIVE[:1], 100.0)
    assert extended.targets == 5
    assert extended.expected_residual >= usual
    assert extended.correction.sigma_yaw >= 0.9 * made.correction.sigma_yaw
    again = calibrate(people, FIVE[1:2], 200.0)
    assert (again.targets, again.least_residual) == (6, usual)


def test_looks_are_stored_and_files_of_version_3_have_none(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    made = calibrate(registry(tmp_path, extend=False), FIVE[:1], 0.0)
    looks = (KnownLook(0.1, 0.2, 0.3, 0.4), KnownLook(0.1, 0.2, 0.3, 0.4, LidCue(0.1, 0.2, 0.3)))
    store.put("anna", dataclasses.replace(made, looks=looks))
    assert store.get("anna")["scripted"].looks == looks
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    content["version"] = 3
    del content["calibrations"][0]["looks"]
    path.write_text(json.dumps(content))
    assert store.get("anna")["scripted"] == dataclasses.replace(made, looks=())


def test_a_look_that_is_no_number_damages_the_file(tmp_path: Path) -> None:
    made = calibrate(registry(tmp_path, extend=False), FIVE[:1], 0.0)
    with pytest.raises(ValueError, match="true_yaw"):
        dataclasses.replace(made, looks=(KnownLook(0.1, 0.2, math.nan, 0.4),))


def test_the_oldest_looks_are_dropped() -> None:
    count = MAX_KNOWN_LOOKS + 2
    angles = np.arange(2 * count, dtype=float).reshape(count, 2)
    means = TargetMeans(np.arange(count), angles, angles, np.full((count, 3), np.nan))
    looks = looks_of(means)
    assert len(looks) == MAX_KNOWN_LOOKS
    assert looks[-1] == KnownLook(*angles[-1], *angles[-1])
