"""Measures action units without a neutral face, with and without appearance, on people.

    python3 bench/appearance_units.py DATA

DATA is the folder of `bench/people.py`. Prints for each unit the AUC of the expressions that
contain it, with the 95 % interval over people: on CK+ peaks against all other expressions, and on
press photographs against neutral faces. *landmarks* are the units of the landmarks; *both* are
those with `small_action_units`, as `run` and the affect node give them. Also prints the share of
neutral faces whose intensity is above 0.5. Blendshapes are on, because AU 17 needs them. Reads only
the half of the people on whom nothing was chosen: even numbers of CK+, and press photographs whose
person's name has an even sum of code points.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.accuracy.action_units import PROTOTYPES
from bench.accuracy.context import Context
from bench.accuracy.data_sets import Missing
from bench.accuracy.pictures import read_picture, with_margin, with_width
from bench.accuracy.stills import SOURCES, Source
from face_perception.pipeline import Perception
from face_perception.statistics import auc, bootstrap
from face_perception.types import ActionUnits, Camera, Frame


@dataclass(frozen=True)
class Seen:
    """The units of the largest face of a picture."""

    label: str
    person: str
    landmarks: ActionUnits
    both: ActionUnits


def kept_aside(person: str) -> bool:
    """Returns whether nothing was chosen on this person."""
    number = re.fullmatch(r"S(\d+)", person)
    return (int(number[1]) if number else sum(map(ord, person))) % 2 == 0


def look(context: Context, source: Source) -> list[Seen]:
    """Returns what both estimators find in each picture with a face. Raises Missing."""
    ways = [
        Perception.load(single_image=True, blendshapes=True, appearance=appearance)
        for appearance in (False, True)
    ]
    seen = []
    for one in source.pictures(context):
        if not kept_aside(one.person):
            continue
        image = read_picture(one.file)
        image = with_margin(with_width(image, image.shape[1] * source.scale))
        camera = Camera.assume(image.shape[1], image.shape[0])
        results = [way.process(Frame(image, 0.0, camera)) for way in ways]
        faces = results[0].faces
        if faces:
            largest = max(range(len(faces)), key=lambda i: faces[i].roi.width)
            found = (result.action_units[largest] for result in results)
            seen.append(Seen(one.label, one.person, *found))
    return seen


def report(seen: list[Seen], name: str) -> None:
    neutral = any(one.label == "neutral" for one in seen)
    for code, classes in PROTOTYPES.items():
        used = [one for one in seen if not neutral or one.label in (*classes, "neutral")]
        shown = np.array([one.label in classes for one in used])
        people = [one.person for one in used]
        landmarks = np.array([_intensity(one.landmarks, code) for one in used])
        both = np.array([_intensity(one.both, code) for one in used])
        if not np.isfinite(both).any():
            continue
        parts = [f"both {_rank(both, shown, people)}"]
        if np.isfinite(landmarks).any():
            parts.append(f"landmarks {_rank(landmarks, shown, people)}")
        if neutral:
            parts.append(f"neutral faces above 0.5: {(both[~shown] > 0.5).mean():.2f}")
        counts = f"{shown.sum()} against {(~shown).sum()}"
        print(f"{name}: AU{code}: {'; '.join(parts)}; {counts}")


def _rank(score: np.ndarray, shown: np.ndarray, people: list[str]) -> str:
    """Returns the AUC and its 95 % interval over people."""
    found = bootstrap(lambda i: auc(score[i], shown[i]), len(score), people)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _intensity(found: ActionUnits, code: int) -> float:
    unit = found.units.get(code)
    return math.nan if unit is None else unit.intensity


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the data sets")
    context = Context(parser.parse_args().data)
    for source in SOURCES:
        try:
            report(look(context, source), source.name)
        except Missing as reason:
            print(reason)


if __name__ == "__main__":
    main()
