"""Measures eye contact on press photographs whose looks this project labelled.

``press_looks.csv`` names the photographs. Each was labelled by eye, on its crop alone and before
the product had read it: ``lens`` if the person looks into the camera, ``elsewhere`` if not.
Photographs in which that cannot be told are left out.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy.context import Context, Findings, Measure, Row
from bench.accuracy.data_sets import MUXSPACE, Missing
from bench.accuracy.looking import CONTACT
from bench.accuracy.stills import SOURCES, Still, stills
from face_perception.statistics import (
    Estimate,
    auc,
    bootstrap,
    calibration_error,
    mean,
    reliability,
)

NAME = "press photographs A-H"
LABELS = Path(__file__).with_name("press_looks.csv")


def labels() -> dict[str, bool]:
    """Returns whether the person looks into the lens, by the name of the photograph."""
    with LABELS.open(encoding="utf-8") as file:
        return {row["image"]: row["look"] == "lens" for row in csv.DictReader(file)}


def run(context: Context) -> Findings:
    (source,) = (one for one in SOURCES if one.data_set is MUXSPACE)
    true = labels()
    seen = [one for one in stills(context, source) if one.name in true]
    if not seen:
        raise Missing(f"not measured: {source.name} has none of the pictures in {LABELS.name}")
    found = [one for one in seen if one.face is not None]
    rows = [_row("face found", mean([one.face is not None for one in seen], _people(seen)))]
    at_lens = np.array([true[one.name] for one in found], bool)
    said = np.array([_contact(one) for one in found])
    robot = np.array(
        [bool(one.face and one.face["attention"]["looking_at_robot"]) for one in found]
    )
    people = _people(found)
    for kept, where in ((at_lens, "looks at the lens"), (~at_lens, "looks elsewhere")):
        who = [person for person, keep in zip(people, kept, strict=True) if keep]
        if not who:
            continue
        above = mean(said[kept] > CONTACT, who)
        rows.append(_row(f"eye contact > {CONTACT:g}", above, f"not calibrated, {where}"))
        rows.append(_row("looking_at_robot", mean(robot[kept], who), f"not calibrated, {where}"))
    if at_lens.any() and not at_lens.all():
        known = np.isfinite(said)
        share = f"not calibrated, {at_lens.mean():.0%} of looks at the lens"
        rank = bootstrap(lambda i: auc(said[i], at_lens[i]), len(said), people)
        rows.append(_row("eye contact, AUC", rank, "not calibrated", ""))
        error = bootstrap(
            lambda i: calibration_error(said[known][i], at_lens[known][i]),
            int(known.sum()),
            [person for person, keep in zip(people, known, strict=True) if keep],
        )
        rows.append(_row("eye contact, calibration error (ECE)", error, share, ""))
    details = {"eye contact, press photographs": reliability(said, at_lens)}
    return Findings(rows, details)


def _people(seen: list[Still]) -> list[str]:
    return [one.person for one in seen]


def _attention(one: Still) -> dict[str, Any]:
    attention: dict[str, Any] = (one.face or {})["attention"]
    return attention


def _contact(one: Still) -> float:
    """Returns the probability of eye contact; NaN if it is unknown."""
    value = _attention(one)["eye_contact"]
    return math.nan if value is None else float(value)


def _row(figure: str, estimate: Estimate, condition: str = "", unit: str = "share") -> Row:
    return Row("gaze", figure, estimate, unit, NAME, condition)


MEASURE = Measure("press_looks", (MUXSPACE,), run)
