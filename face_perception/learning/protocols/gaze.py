"""Measures of gaze: error, calibration curve, error against head angle, eye contact.

The calibration curve follows Chen and Shi 2020 ("Offset Calibration for Appearance-Based Gaze
Estimation via Gaze Decomposition"): some random images of a person give the person's offset, and
the error is measured on the person's other images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.learning.geddnet.recipe import angular_errors
from face_perception.learning.protocols.figures import Curve, Figures, Point
from face_perception.statistics import Estimate, auc, bootstrap, correlation, mean_of_people, slope
from face_perception.types import FloatArray

CALIBRATION_SAMPLES = (1, 2, 4, 8, 16, 32, 50)
_DRAWS = 20  # of calibration images for each person and number of images
_HEAD_BINS_DEG = (0.0, 10.0, 20.0, 30.0, 45.0, 90.0)
_AXES = {"pitch": 0, "yaw": 1}
_SEED = 0


@dataclass(frozen=True, slots=True)
class GazeAnswers:
    """Answers of a gaze network on labelled images.

    ``estimate`` and ``truth`` [N, 2] are pitch and yaw, radians, in the same axes. ``people`` [N]
    are ids. ``head`` [N] is the angle between the head and the camera, radians, and ``contact``
    [N] is 1 for a look into the lens and 0 for another look; both are NaN if unknown.
    """

    estimate: FloatArray
    truth: FloatArray
    people: npt.NDArray[np.object_]
    head: FloatArray
    contact: FloatArray

    @property
    def errors_deg(self) -> FloatArray:
        """Angles [N] between estimate and truth, degrees."""
        return angles_deg(self.estimate, self.truth)


def angles_deg(a: FloatArray, b: FloatArray) -> FloatArray:
    """Returns the angles [N], degrees, between gazes [N, 2] of pitch and yaw in radians."""
    return np.asarray(np.degrees(angular_errors(a, b)))


def gaze_figures(answers: GazeAnswers) -> Figures:
    """Returns all figures and curves that the labels allow. People count equally."""
    people = list(answers.people)
    constant = np.tile(answers.truth.mean(0), (len(answers.truth), 1))
    figures = {
        "error_deg": mean_of_people(answers.errors_deg, people),
        "error_of_mean_deg": mean_of_people(angles_deg(constant, answers.truth), people),
    }
    for axis, column in _AXES.items():
        figures |= _of_axis(answers, axis, column)
    figures |= _contact(answers)
    curves = {
        "error against head angle": _against_head(answers),
        "error against calibration images": _calibration_curve(answers),
    }
    return Figures(figures, {name: curve for name, curve in curves.items() if curve.points})


def _of_axis(answers: GazeAnswers, axis: str, column: int) -> Iterator[tuple[str, Estimate]]:
    """Yields gain, correlation and offset of one axis, each measured within a person."""
    truth, estimate = answers.truth[:, column], answers.estimate[:, column]
    own = [(truth[index], estimate[index]) for index in _of_people(answers.people).values()]
    offsets = np.array([float(np.degrees((e - t).mean())) for t, e in own])
    yield f"{axis}_gain", _over_people(np.array([slope(t, e) for t, e in own]))
    yield f"{axis}_correlation", _over_people(np.array([correlation(t, e) for t, e in own]))
    yield f"{axis}_offset_deg", _over_people(offsets)
    if len(own) > 1:
        yield (
            f"{axis}_offset_spread_deg",
            bootstrap(lambda i: float(offsets[i].std(ddof=1)), len(offsets)),
        )


def _over_people(values: FloatArray) -> Estimate:
    """Returns the mean over the people who have a value."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Estimate(math.nan, math.nan, math.nan, 0)
    return bootstrap(lambda i: float(known[i].mean()), len(known))


def _contact(answers: GazeAnswers) -> Iterator[tuple[str, Estimate]]:
    """Yields how well the angle to the lens tells looks into the lens from other looks."""
    yield from contact_figures(
        -angles_deg(answers.estimate, np.zeros_like(answers.estimate)),
        answers.contact,
        answers.people,
    )


def contact_figures(
    score: FloatArray, contact: FloatArray, people: npt.NDArray[np.object_]
) -> Iterator[tuple[str, Estimate]]:
    """Yields AUC and balanced accuracy of a ``score`` [N] of eye contact, if there are labels.

    The threshold for a person is the one that is best for all other people, as in the published
    leave-one-person-out protocol of Columbia Gaze (Smith et al., UIST 2013). A person is left out
    of the balanced accuracy if the others have only looks of one kind.
    """
    known = np.isfinite(contact) & np.isfinite(score)
    score, truth, people = score[known], contact[known] == 1, people[known]
    if truth.all() or not truth.any():
        return
    yield "eye_contact_auc", bootstrap(lambda i: auc(score[i], truth[i]), len(score), list(people))
    said = np.full(len(score), np.nan)
    for person in dict.fromkeys(people):
        own = people == person
        if truth[~own].any() and not truth[~own].all():
            said[own] = score[own] >= _best_threshold(score[~own], truth[~own])
    judged = np.isfinite(said)
    if judged.any():
        right, truth = said[judged] == truth[judged], truth[judged]
        yield (
            "eye_contact_balanced_accuracy",
            bootstrap(lambda i: _balanced(right[i], truth[i]), len(right), list(people[judged])),
        )


def _best_threshold(score: FloatArray, truth: npt.NDArray[np.bool_]) -> float:
    """Returns the score from which on looks are best taken for looks into the lens.

    That has the largest balanced accuracy on ``score`` and ``truth`` [N], which has both classes.
    Infinite if no score is better than to take no look for one.
    """
    order = np.argsort(-score)
    score, truth = score[order], truth[order]
    gain = np.cumsum(truth) / truth.sum() - np.cumsum(~truth) / (~truth).sum()
    ends = np.flatnonzero(np.r_[score[1:] != score[:-1], True])  # equal scores cannot be divided
    best = ends[np.argmax(gain[ends])]
    return float(score[best]) if gain[best] > 0 else math.inf


def _balanced(right: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    kinds = [right[truth == kind].mean() for kind in (True, False) if (truth == kind).any()]
    return float(np.mean(kinds))


def _against_head(answers: GazeAnswers) -> Curve:
    """Returns the error by the angle between the head and the camera, in bins."""
    angle, error = np.degrees(answers.head), answers.errors_deg
    points = []
    for low, high in itertools.pairwise(_HEAD_BINS_DEG):
        inside = (angle >= low) & (angle < high)
        if inside.any():
            found = mean_of_people(error[inside], list(answers.people[inside]))
            points.append(Point(float(angle[inside].mean()), found))
    return Curve("angle of the head to the camera, degrees", "error, degrees", tuple(points))


def _calibration_curve(answers: GazeAnswers) -> Curve:
    """Returns the error after a calibration with random images of the same person."""
    of = _of_people(answers.people)
    least = min(len(index) for index in of.values())
    random = np.random.default_rng(_SEED)
    points = []
    for count in CALIBRATION_SAMPLES:
        if count >= least:
            break
        after = np.array([_calibrated(answers, index, count, random) for index in of.values()])
        points.append(Point(float(count), _over_people(after)))
    return Curve("calibration images of the person", "error, degrees", tuple(points))


def _calibrated(
    answers: GazeAnswers, index: npt.NDArray[np.int64], count: int, random: np.random.Generator
) -> float:
    """Returns one person's mean error after calibration with ``count`` images, degrees."""
    errors = []
    for _ in range(_DRAWS):
        drawn = random.permutation(index)
        own, rest = drawn[:count], drawn[count:]
        offset = (answers.truth[own] - answers.estimate[own]).mean(0)
        errors.append(
            float(angles_deg(answers.estimate[rest] + offset, answers.truth[rest]).mean())
        )
    return float(np.mean(errors))


def _of_people(people: npt.NDArray[np.object_]) -> Mapping[str, npt.NDArray[np.int64]]:
    """Returns the indices of each person's samples."""
    return {person: np.flatnonzero(people == person) for person in dict.fromkeys(people)}
