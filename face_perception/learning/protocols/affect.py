"""Measures of affect: CCC of valence and arousal, scores of expressions and action units.

They are those of Aff-Wild2 (CCC, macro F1), DISFA (F1 and ICC of each action unit) and AffectNet
(accuracy of expressions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.learning.protocols.figures import Curve, Figures, Point
from face_perception.statistics import (
    Estimate,
    auc,
    balanced_accuracy,
    bootstrap,
    calibration_error,
    ccc,
    consistency,
    macro_f1,
    reliability,
)
from face_perception.types import EXPRESSIONS, FloatArray

_MOST_INTENSITY = 5.0  # of an action unit: E in FACS
_DRAWS = 300  # of the bootstrap; videos have very many frames


@dataclass(frozen=True, slots=True)
class UnitAnswers:
    """Answers about one action unit.

    ``probability`` [N] and its ``threshold``; ``present`` [N] is 0 or 1, and ``intensity`` [N] 0 to
    5. NaN is unknown.
    """

    probability: FloatArray
    threshold: float
    present: FloatArray
    intensity: FloatArray


@dataclass(frozen=True, slots=True)
class AffectAnswers:
    """Answers of an affect network on labelled images.

    ``people`` [N] are ids. ``affect`` and ``true_affect`` [N, 2] are valence and arousal, NaN if
    unknown. ``expressions`` [N, 7] are probabilities, and ``true_expressions`` [N] names or None.
    ``units`` are the action units by FACS number.
    """

    people: npt.NDArray[np.object_]
    affect: FloatArray
    true_affect: FloatArray
    expressions: FloatArray
    true_expressions: npt.NDArray[np.object_]
    units: Mapping[int, UnitAnswers] = field(default_factory=dict)


def affect_figures(answers: AffectAnswers) -> Figures:
    """Returns all figures and curves that the labels and the network allow."""
    figures: dict[str, Estimate] = {}
    for column, name in enumerate(("valence", "arousal")):
        said, truth = answers.affect[:, column], answers.true_affect[:, column]
        figures |= _figures(answers, {f"ccc_{name}": ccc}, said, truth)
    figures |= _expression_figures(answers)
    for code, unit in sorted(answers.units.items()):
        figures |= _unit_figures(answers, code, unit)
    return Figures(figures, dict(_reliability(answers)))


def _figures(
    answers: AffectAnswers,
    measures: Mapping[str, Callable[[FloatArray, FloatArray], float]],
    said: FloatArray,
    truth: FloatArray,
) -> Iterator[tuple[str, Estimate]]:
    """Yields measures of the samples for which both values are known."""
    known = np.isfinite(said) & np.isfinite(truth)
    if not known.any():
        return
    for name, measure in measures.items():
        found = _estimate(measure, said[known], truth[known], answers.people[known])
        if np.isfinite(found.value):
            yield name, found


def _estimate(
    measure: Callable[[Any, Any], float],
    said: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    people: npt.NDArray[np.object_],
) -> Estimate:
    """Returns a measure of answers and truth [N], with its interval over people."""
    return bootstrap(lambda i: measure(said[i], truth[i]), len(said), list(people), draws=_DRAWS)


def _known_expressions(answers: AffectAnswers) -> npt.NDArray[np.bool_]:
    labelled = np.array([name is not None for name in answers.true_expressions], bool)
    return np.asarray(labelled & np.isfinite(answers.expressions).all(1))


def _expression_figures(answers: AffectAnswers) -> Iterator[tuple[str, Estimate]]:
    known = _known_expressions(answers)
    if not known.any():
        return
    truth, people = answers.true_expressions[known], answers.people[known]
    said = np.array(EXPRESSIONS, object)[answers.expressions[known].argmax(1)]
    occurring = sorted(set(truth))
    measures: dict[str, Callable[[Any, Any], float]] = {
        "expression_accuracy": lambda said, truth: float((said == truth).mean()),
        "expression_balanced_accuracy": lambda said, truth: balanced_accuracy(
            truth, said, occurring
        ),
        "expression_macro_f1": lambda said, truth: macro_f1(truth, said, occurring),
    }
    for name, measure in measures.items():
        yield name, _estimate(measure, said, truth, people)
    surest, right = answers.expressions[known].max(1), said == truth
    yield "expression_calibration_error", _estimate(calibration_error, surest, right, people)


def _unit_figures(
    answers: AffectAnswers, code: int, unit: UnitAnswers
) -> Iterator[tuple[str, Estimate]]:
    def f1(said: FloatArray, truth: FloatArray) -> float:
        return macro_f1(truth == 1, said > unit.threshold, [True])

    yield from _figures(
        answers, {f"au_{code}_f1": f1, f"au_{code}_auc": auc}, unit.probability, unit.present
    )
    yield from _figures(
        answers,
        {f"au_{code}_icc": consistency},
        _MOST_INTENSITY * unit.probability,
        unit.intensity,
    )


def _reliability(answers: AffectAnswers) -> Iterator[tuple[str, Curve]]:
    """Yields the reliability diagram of the most probable expression."""
    known = _known_expressions(answers)
    if not known.any():
        return
    said = answers.expressions[known]
    right = np.array(EXPRESSIONS, object)[said.argmax(1)] == answers.true_expressions[known]
    points = tuple(
        Point(row["said"], Estimate(row["seen"], np.nan, np.nan, int(row["n"])))
        for row in reliability(said.max(1), right)
    )
    yield (
        "reliability of expressions",
        Curve("stated probability", "share that is right", points, diagonal=True),
    )
