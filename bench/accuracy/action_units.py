"""Compares action units with expressions that contain them: no FACS-coded set is public.

The AUC says whether a unit's intensity is higher in the expressions whose prototype has it
than in neutral faces, or, in a set without neutral faces, than in all other expressions.
Intensities are relative to the population's neutral face, because each picture is processed alone.
"""

from __future__ import annotations

import math

import numpy as np

from bench.accuracy.context import Context, Findings, Measure, Row
from bench.accuracy.data_sets import CK, MUXSPACE, Missing
from bench.accuracy.stills import SOURCES, Still, stills
from face_perception.statistics import auc, bootstrap, mean

# Ekman and Friesen, EMFACS: units of the prototype of each class.
PROTOTYPES = {
    1: ("sad", "surprised", "scared"),
    2: ("surprised",),
    4: ("angry", "sad", "disgusted"),
    5: ("surprised", "scared"),
    6: ("happy",),
    7: ("angry",),
    9: ("disgusted",),
    10: ("disgusted",),
    12: ("happy",),
    15: ("sad",),
    17: ("sad",),
    20: ("scared",),
    24: ("angry",),
    25: ("surprised", "happy"),
    26: ("surprised",),
}


def run(context: Context) -> Findings:
    findings, missing = Findings(), []
    for source in SOURCES:
        try:
            seen = [one for one in stills(context, source) if one.face]
        except Missing as reason:
            missing.append(str(reason))
            continue
        neutral = any(one.label == "neutral" for one in seen)
        for code, classes in PROTOTYPES.items():
            kept = [one for one in seen if one.label in (*classes, "neutral") or not neutral]
            findings.rows += _rows(kept, code, classes, source.name, neutral)
    if not findings.rows:
        raise Missing("; ".join(missing) or "not measured: no face was found in the sets")
    if missing:
        findings.details["not measured"] = missing
    return findings


def _rows(
    kept: list[Still], code: int, classes: tuple[str, ...], name: str, neutral: bool
) -> list[Row]:
    score = np.array([_value(one, "action_units", code) for one in kept])
    label = np.array([one.label in classes for one in kept], bool)
    known = np.isfinite(score)
    if not (label & known).any() or not (~label & known).any():
        return []
    groups = [one.person for one in kept]
    rank = bootstrap(lambda i: auc(score[i], label[i]), len(kept), groups)
    against = "neutral" if neutral else "all others"
    trust = np.array([_value(one, "action_unit_confidence", code) for one in kept])
    at = np.flatnonzero(np.isfinite(trust))
    rows = [
        Row("action units", f"AU{code}, AUC", rank, "", name,
            f"{'/'.join(classes)} against {against}")
    ]  # fmt: skip
    if len(at):
        said = mean(trust[at], [groups[i] for i in at])
        rows.append(Row("action units", f"AU{code}, mean confidence", said, "", name))
    return rows


def _value(one: Still, key: str, code: int) -> float:
    value = (one.face or {})[key].get(str(code))
    return math.nan if value is None else float(value)


MEASURE = Measure("action_units", (CK, MUXSPACE), run)
