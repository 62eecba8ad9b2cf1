"""Measures the gaze of people who look at the lens with calm and with strong expressions (JAFFE).

The angle to the lens is the error. A calibration uses the person's own calm pictures as one target.
It is tested on the person's other expressions, and on each calm picture that was left out.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Context, Findings, Measure, Row, counted
from bench.accuracy.data_sets import JAFFE
from bench.accuracy.looking import (
    Look,
    Told,
    calibrate,
    contact_row,
    error_row,
    raw,
    see,
    valid_row,
)
from bench.accuracy.pictures import read_picture
from face_perception.statistics import mean
from face_perception.types import Camera

NAME = "JAFFE"
_FILE = re.compile(r"(?P<person>[A-Z]{2})\.(?P<expression>[A-Z]{2})\d+(\.\d+)?")
_CALM = "NE"
_EXPRESSIONS = {
    _CALM: "calm",
    "AN": "angry",
    "DI": "disgusted",
    "FE": "scared",
    "HA": "happy",
    "SA": "sad",
    "SU": "surprised",
}


def run(context: Context) -> Findings:
    files = context.files(
        JAFFE, "*.*", lambda file: _FILE.match(file.stem), "with a name such as KA.NE1.26.tiff"
    )
    key = (context.use(JAFFE, files), product.gaze_name())
    looks = context.remember("lens", key, lambda: _look(files))
    rows = [valid_row([_named(file)["person"] for file in files], looks, NAME, "person")]
    if not looks:
        return Findings(rows)
    told = raw(looks, NAME, "person")
    rows += [error_row(told), contact_row(told, "looks at the lens")]
    rows += _by_expression(told)
    after, refused = _calibrated(looks)
    if after.looks:
        share = mean([why != "" for _, why in refused], [person for person, _ in refused])
        rows += [error_row(after), after.row("calibration refused", share, "share")]
        rows += _by_expression(after)
    return Findings(rows)


def _named(file: Path) -> re.Match[str]:
    """Returns the parts of a file's name: ``person`` and ``expression``."""
    found = _FILE.match(file.stem)
    assert found is not None
    return found


def _look(files: Sequence[Path]) -> list[Look]:
    looks = []
    for file in counted(files, NAME):
        name = _named(file)
        image = read_picture(file)
        camera = Camera.assume(image.shape[1], image.shape[0])
        seen = see(image, camera)
        if seen is None or not seen[1].valid or not np.isfinite(seen[1].direction).all():
            continue
        to_lens = -seen[1].origin / np.linalg.norm(seen[1].origin)
        looks.append(Look(name["person"], name["expression"], camera, *seen, to_lens))
    return looks


def _by_expression(told: Told) -> list[Row]:
    rows = []
    for code, expression in _EXPRESSIONS.items():
        part = told.part(lambda look, code=code: look.name == code)
        if part.looks:
            named = dataclasses.replace(part, condition=f"{told.condition}, {expression}")
            rows.append(error_row(named))
    return rows


def _calibrated(looks: Sequence[Look]) -> tuple[Told, list[tuple[str, str]]]:
    """Returns the looks after calibrations, and what came of each calibration.

    That is the person, and why the calibration was refused (empty: accepted).
    """
    people: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        people[look.group].append(look)
    tested, gazes, refused = [], [], []

    def calibrate_on(teach: Sequence[Look], test: Sequence[Look]) -> None:
        if not (teach and test):
            return
        found = calibrate([teach], test)
        tested.extend(test)
        gazes.extend(found.gazes)
        refused.append((test[0].group, found.refused))

    for own in people.values():
        calm = [look for look in own if look.name == _CALM]
        calibrate_on(calm, [look for look in own if look.name != _CALM])
        for number, left_out in enumerate(calm):
            calibrate_on([*calm[:number], *calm[number + 1 :]], [left_out])
    return Told(tested, gazes, "one target", NAME, "person"), refused


MEASURE = Measure("lens", (JAFFE,), run)
