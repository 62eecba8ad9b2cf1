"""Measures expression on labelled pictures, and the valence and arousal derived from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.accuracy.context import Context, Findings, Measure, Row
from bench.accuracy.data_sets import CK, MUXSPACE, Missing
from bench.accuracy.stills import SOURCES, Still, stills
from face_perception.statistics import (
    Estimate,
    auc,
    balanced_accuracy,
    bootstrap,
    calibration_error,
    confusion,
    macro_f1,
    mean,
    reliability,
)
from face_perception.types import EXPRESSIONS

_TURNS = ((0, 15), (15, 30), (30, 90))  # degrees of the head's yaw, either side
_NEGATIVE = ("angry", "disgusted", "scared", "sad")
_EXCITED, _CALM = ("angry", "scared", "surprised"), ("neutral", "sad")


def run(context: Context) -> Findings:
    findings, missing = Findings(), []
    for source in SOURCES:
        try:
            seen = stills(context, source)
        except Missing as reason:
            missing.append(str(reason))
            continue
        part = _measure(seen, source.name)
        findings.rows += part.rows
        findings.details[source.name] = part.details
    if not findings.rows:
        raise Missing("; ".join(missing))
    if missing:
        findings.details["not measured"] = missing
    return findings


def _measure(seen: Sequence[Still], name: str) -> Findings:
    people = [one.person for one in seen]
    share = mean([one.face is not None for one in seen], people)
    rows = [Row("expression", "face found (picture with a margin)", share, "share", name)]
    found = [one for one in seen if one.face and one.face["expression_label"]]
    if not found:
        return Findings(rows)
    truth = np.array([one.label for one in found])
    said = np.array([one.face["expression_label"] for one in found])
    groups = [one.person for one in found]
    classes = [c for c in EXPRESSIONS if (truth == c).any()]
    right = truth == said
    top = np.array([max(one.face["expression"].values()) for one in found])

    def row(figure: str, estimate: Estimate, unit: str = "share", condition: str = "") -> None:
        rows.append(Row("expression", figure, estimate, unit, name, condition))

    row("accuracy", mean(right, groups))
    row(
        "balanced accuracy",
        bootstrap(lambda i: balanced_accuracy(truth[i], said[i], classes), len(found), groups),
    )
    row(
        "macro-F1",
        bootstrap(lambda i: macro_f1(truth[i], said[i], classes), len(found), groups),
        "",
    )
    row(
        "calibration error (ECE) of the top probability",
        bootstrap(lambda i: calibration_error(top[i], right[i]), len(found), groups),
        "",
    )
    turns = np.degrees([abs(_yaw(one)) for one in found])
    for low, high in _TURNS:
        at = np.flatnonzero((turns >= low) & (turns < high))
        if len(at):
            part = mean(right[at], [groups[i] for i in at])
            row("accuracy", part, condition=f"head turned by {low} to {high}°")
    for one in classes:
        at = np.flatnonzero(truth == one)
        row("recognised", mean(right[at], [groups[i] for i in at]), condition=one)
    rows += _proxies(found, name)
    details = {
        "classes": list(EXPRESSIONS),
        "confusion, a row for each true class": confusion(truth, said, EXPRESSIONS),
        "reliability of the top probability": reliability(top, right),
    }
    return Findings(rows, details)


def _yaw(one: Still) -> float:
    pose = one.face and one.face["head_pose"]
    return math.nan if not pose or pose["yaw"] is None else float(pose["yaw"])


def _proxies(found: Sequence[Still], name: str) -> list[Row]:
    """Returns the AUC of valence and arousal between classes: no public set labels them."""
    rows = []
    for output, high, low in (
        ("valence", ("happy",), _NEGATIVE),
        ("arousal", _EXCITED, _CALM),
    ):
        used = [one for one in found if one.label in (*high, *low)]
        score = np.array([_value(one, output) for one in used])
        label = np.array([one.label in high for one in used], bool)
        if label.any() and not label.all():
            rank = bootstrap(
                lambda i, s=score, y=label: auc(s[i], y[i]),
                len(used),
                [one.person for one in used],
            )
            condition = f"{'/'.join(high)} against {'/'.join(low)}"
            rows.append(Row("valence and arousal", f"{output}, AUC", rank, "", name, condition))
    return rows


def _value(one: Still, output: str) -> float:
    value = one.face and one.face[output]
    return math.nan if value is None else float(value)


MEASURE = Measure("expression", (CK, MUXSPACE), run)
