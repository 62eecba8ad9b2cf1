"""Calibrates people whose true gaze is known, and makes the rows about their estimated gaze.

Calibration uses the product's own interface: sessions, persons, stored calibrations.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Row
from face_perception import geometry
from face_perception.gaze import normalized_camera_rotation
from face_perception.gaze_probability import GazeErrorModel, offset_from_line
from face_perception.people import (
    CalibrationRefused,
    CalibrationSession,
    CalibrationStore,
    PersonRegistry,
    point_target,
)
from face_perception.statistics import (
    Estimate,
    auc,
    bootstrap,
    calibration_error,
    mean,
    mean_of_people,
    slope,
)
from face_perception.types import Camera, Face, FloatArray, Frame, Gaze, Image

CONTACT = 0.5  # probability above which eye contact counts as reported
_SAMPLES = 12  # for each target: the pictures of it, repeated
_INTERVAL = 0.1  # seconds between samples, as in a stream
_JITTER = math.radians(0.5)  # noise added on each axis to repeated pictures, as in a stream
_PATIENCE = 400  # images for one target, before the session counts as stuck
_PERSON = "person"


@dataclass(frozen=True, slots=True)
class Look:
    """One picture of a person who looks at a known place.

    ``truth`` [3] is the unit vector from the eyes to that place, in the optical frame. ``group`` is
    what intervals are drawn over: the person, or the target if there is only one person.
    """

    group: str
    name: str
    camera: Camera
    face: Face
    gaze: Gaze
    looking_at_robot: bool
    truth: FloatArray

    @property
    def at_lens(self) -> bool:
        return geometry.angle_between(self.truth, -self.gaze.origin) < math.radians(1)


def see(image: Image, camera: Camera) -> tuple[Face, Gaze, bool] | None:
    """Returns the largest face of a still, its uncalibrated gaze, and its ``looking_at_robot``;
    None without a face.
    """
    result = product.still().process(Frame(np.ascontiguousarray(image), 0.0, camera))
    if not result.faces:
        return None
    k = max(range(len(result.faces)), key=lambda i: result.faces[i].roi.width)
    return result.faces[k], result.gazes[k], result.attention[k].looking_at_robot


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Gazes of a person after calibration, and its expected error, radians.

    ``refused`` is the reason of a refusal. The gazes are then uncalibrated and the error is NaN.
    """

    gazes: list[Gaze]
    promised: float
    refused: str = ""


def calibrate(targets: Sequence[Sequence[Look]], test: Sequence[Look]) -> Calibrated:
    """Calibrates with the looks at each of ``targets``, repeated like the frames of a stream, and
    applies the calibration to ``test``.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = CalibrationStore(Path(folder) / "people")
        estimator = product.gaze_estimator()
        people = PersonRegistry(
            store,
            {estimator.name: estimator.revision},
            priors={estimator.name: estimator.prior},
        )
        points = [point_target(looks[0].gaze.origin + looks[0].truth) for looks in targets]
        session = CalibrationSession(_PERSON, points, samples=_SAMPLES, interval=_INTERVAL)
        people.begin_session(session)
        random = np.random.default_rng(0)
        stamp = 0.0
        for number, looks in enumerate(targets):
            for k in range(_PATIENCE):
                if session.finished or session.progress().target != number:
                    break
                look = looks[k % len(looks)]
                gaze = dataclasses.replace(
                    look.gaze,
                    face_id=_PERSON,
                    direction=_jittered(look.gaze.direction, random),
                )
                people.update(stamp, look.camera, [_face(look)], [gaze])
                stamp += _INTERVAL
        try:
            people.finish_session(session, _PERSON)
        except (CalibrationRefused, ValueError) as reason:
            return Calibrated([look.gaze for look in test], math.nan, str(reason))
        gazes = []
        for look in test:
            stamp += _INTERVAL
            people.link(_PERSON, _PERSON)  # resets the smoothing between pictures
            gaze = dataclasses.replace(look.gaze, face_id=_PERSON)
            gazes += people.update(stamp, look.camera, [_face(look)], [gaze])
        return Calibrated(gazes, store.get(_PERSON)[estimator.name].expected_residual)


def _face(look: Look) -> Face:
    return dataclasses.replace(look.face, face_id=_PERSON)


def _jittered(direction: FloatArray, random: np.random.Generator) -> FloatArray:
    yaw, pitch = geometry.yaw_pitch(direction)
    noise_yaw, noise_pitch = random.normal(0, _JITTER, 2)
    moved: FloatArray = geometry.from_yaw_pitch(yaw + noise_yaw, pitch + noise_pitch)
    return moved


@dataclass(frozen=True, slots=True)
class Told:
    """Looks and their estimated gazes in one condition, such as "one target"."""

    looks: Sequence[Look]
    gazes: Sequence[Gaze]
    condition: str
    data: str
    per: str

    def row(self, figure: str, estimate: Estimate, unit: str, detail: str = "") -> Row:
        condition = ", ".join(filter(None, (self.condition, detail)))
        return Row("gaze", figure, estimate, unit, self.data, condition, self.per)

    def where(self, keep: Callable[[Gaze], bool]) -> Told:
        """Returns the looks for whose gaze ``keep`` is true."""
        pairs = [(a, b) for a, b in zip(self.looks, self.gazes, strict=True) if keep(b)]
        return dataclasses.replace(self, looks=[a for a, _ in pairs], gazes=[b for _, b in pairs])

    def part(self, keep: Callable[[Look], bool]) -> Told:
        """Returns the looks for which ``keep`` is true."""
        pairs = [(a, b) for a, b in zip(self.looks, self.gazes, strict=True) if keep(a)]
        return dataclasses.replace(self, looks=[a for a, _ in pairs], gazes=[b for _, b in pairs])

    @property
    def groups(self) -> list[str]:
        return [look.group for look in self.looks]

    def contact(self) -> list[float]:
        """Returns the probability of eye contact of each gaze; NaN if it is unknown."""
        return [g.eye_contact for g in self.gazes]

    def angles(self) -> tuple[FloatArray, FloatArray]:
        """Returns yaw and pitch [N, 2] of truth and of gaze, degrees."""
        truth = [geometry.yaw_pitch(look.truth) for look in self.looks]
        said = [geometry.yaw_pitch(gaze.direction) for gaze in self.gazes]
        return np.degrees(truth), np.degrees(said)

    def errors(self) -> FloatArray:
        """Returns the angle between truth and gaze, degrees; NaN where there is no gaze."""
        return np.degrees(
            [
                geometry.angle_between(look.truth, gaze.direction)
                for look, gaze in zip(self.looks, self.gazes, strict=True)
            ]
        )


def valid_row(
    tried: Sequence[str], looks: Sequence[Look], data: str, per: str, condition: str = ""
) -> Row:
    """Returns the share of pictures in which a face was found whose gaze is valid.

    ``tried`` names the group of each picture, ``looks`` are those with a valid gaze.
    """
    pictures = Counter(tried)
    valid = Counter(look.group for look in looks)
    found = [k < valid[group] for group, count in pictures.items() for k in range(count)]
    share = mean(found, list(pictures.elements()))
    return Row("gaze", "face found and gaze valid", share, "share", data, condition, per)


def error_row(told: Told, figure: str = "error") -> Row:
    """Returns the mean angle between gaze and truth: mean over groups of each one's mean."""
    return told.row(figure, mean_of_people(told.errors(), told.groups), "°")


def gain_rows(told: Told) -> list[Row]:
    """Returns the gain of yaw and pitch: slope of the gaze on the truth in each group, mean over
    groups.

    1 is right; with less, looks seem closer to the lens than they are.
    """
    truth, said = told.angles()
    rows = []
    for axis, name in enumerate(("yaw", "pitch")):
        slopes = []
        for group in dict.fromkeys(told.groups):
            own = [g == group for g in told.groups]
            slopes.append(slope(truth[own, axis], said[own, axis]))
        finite = [s for s in slopes if math.isfinite(s)]
        if finite:
            found = mean(finite)
            rows.append(
                told.row(
                    f"gain, {name}",
                    dataclasses.replace(found, n=len(told.looks), groups=len(finite)),
                    "",
                )
            )
    return rows


def sigma_rows(told: Told) -> list[Row]:
    """Returns the root mean square of error over stated standard deviation: 1 is right, more is
    overconfident.

    Leaves out gazes without a stated deviation. ``GazeErrorModel`` is the model that a gaze states.
    """
    rows = []
    for axis, name in enumerate(("yaw", "pitch")):
        ratios, groups = [], []
        for look, gaze in zip(told.looks, told.gazes, strict=True):
            line, up = -gaze.origin, -normalized_camera_rotation(look.camera, look.face)[:, 1]
            said = offset_from_line(gaze.direction, line, up)[axis]
            truth = offset_from_line(look.truth, line, up)[axis]
            stated = GazeErrorModel.from_gaze(gaze).axes[axis]
            ratio = (said - stated.mean(truth)) / math.sqrt(stated.variance(truth))
            if math.isfinite(ratio):
                ratios.append(ratio)
                groups.append(look.group)
        if ratios:
            found = _rms(np.array(ratios), groups)
            rows.append(told.row(f"error divided by stated sigma, {name}", found, ""))
    return rows


def _rms(values: FloatArray, groups: Sequence[str]) -> Estimate:
    return bootstrap(lambda i: float(np.sqrt((values[i] ** 2).mean())), len(values), groups)


def contact_row(told: Told, detail: str) -> Row:
    """Returns the share of looks whose eye contact is above ``CONTACT``."""
    said = [c > CONTACT for c in told.contact()]
    return told.row(f"eye contact > {CONTACT:g}", mean(said, told.groups), "share", detail)


def contact_rows(told: Told) -> list[Row]:
    """Returns eye contact at the lens and elsewhere, its AUC and its calibration error (ECE)."""
    lens, off = told.part(lambda k: k.at_lens), told.part(lambda k: not k.at_lens)
    rows = [
        contact_row(part, detail)
        for part, detail in ((lens, "looks at the lens"), (off, "looks elsewhere"))
        if part.looks
    ]
    if lens.looks and off.looks:
        said, true = np.array(told.contact()), np.array([k.at_lens for k in told.looks])
        rows.append(
            told.row(
                "eye contact, AUC",
                bootstrap(lambda i: auc(said[i], true[i]), len(said), told.groups),
                "",
            )
        )
        rows.append(
            told.row(
                "eye contact, calibration error (ECE)",
                bootstrap(lambda i: calibration_error(said[i], true[i]), len(said), told.groups),
                "",
                f"{true.mean():.0%} of looks at the lens",
            )
        )
    return rows


def robot_rows(told: Told) -> list[Row]:
    """Returns the share of pictures with ``looking_at_robot``, at the lens and elsewhere."""
    return [
        told.row(
            "looking_at_robot",
            mean([k.looking_at_robot for k in part.looks], part.groups),
            "share",
            detail,
        )
        for part, detail in (
            (told.part(lambda k: k.at_lens), "looks at the lens"),
            (told.part(lambda k: not k.at_lens), "looks elsewhere"),
        )
        if part.looks
    ]


def raw(looks: Sequence[Look], data: str, per: str) -> Told:
    """Returns the gazes without calibration."""
    return Told(looks, [look.gaze for look in looks], "not calibrated", data, per)
