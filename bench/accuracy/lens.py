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
from bench.accuracy.looking import Look, Told, calibrate, contact_row, error_row, raw, see
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
    files = [file for file in context.files(JAFFE, "*.*") if _FILE.match(file.stem)]
    key = (context.use(JAFFE, files), product.gaze_name())
    looks = context.remember("lens", key, lambda: _look(files))
    rows = [
        Row("gaze", "face found and gaze valid", mean([i < len(looks) for i in range(len(files))]),
            "share", NAME, "", "")
    ]  # fmt: skip
    if not looks:
        return Findings(rows)
    told = raw(looks, NAME, "person")
    rows += [error_row(told), contact_row(told, "looks at the lens")]
    rows += _by_expression(told)
    after, refused = _calibrated(looks)
    if after.looks:
        rows += [error_row(after), after.row("calibration refused", mean(refused), "share")]
        rows += _by_expression(after)
    return Findings(rows)


def _look(files: Sequence[Path]) -> list[Look]:
    looks = []
    for file in counted(files, NAME):
        name = _FILE.match(file.stem)
        assert name is not None
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


def _calibrated(looks: Sequence[Look]) -> tuple[Told, list[bool]]:
    """Returns the looks after calibrations, and whether each calibration was refused."""
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
        refused.append(bool(found.refused))

    for own in people.values():
        calm = [look for look in own if look.name == _CALM]
        calibrate_on(calm, [look for look in own if look.name != _CALM])
        for number, left_out in enumerate(calm):
            calibrate_on([*calm[:number], *calm[number + 1 :]], [left_out])
    return Told(tested, gazes, "one target", NAME, "person"), refused


MEASURE = Measure("lens", (JAFFE,), run)
