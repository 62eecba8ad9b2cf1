"""Measures action units of appearance (``small_action_units``) on public sets of people.

    python3 bench/appearance_units.py DATA

DATA is the folder of `bench/people.py`. Prints for each unit the AUC of the expressions that
contain it, with the 95 % interval over people: on CK+ peaks against all other expressions, and on
press photographs against neutral faces. Reads only the half of the people on whom nothing was
chosen: even numbers of CK+, and press photographs whose person's name has an even sum of code
points.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.accuracy import product
from bench.accuracy.action_units import PROTOTYPES
from bench.accuracy.context import Context
from bench.accuracy.data_sets import Missing
from bench.accuracy.pictures import read_picture, with_margin, with_width
from bench.accuracy.stills import SOURCES, Source
from face_perception.affect import load_appearance_units
from face_perception.faces import crop_face
from face_perception.statistics import auc, bootstrap
from face_perception.types import ActionUnits, Camera, Frame

Seen = list[tuple[str, str, ActionUnits]]


def kept_aside(person: str) -> bool:
    """Returns whether nothing was chosen on this person."""
    number = re.fullmatch(r"S(\d+)", person)
    return (int(number[1]) if number else sum(map(ord, person))) % 2 == 0


def look(context: Context, source: Source) -> Seen:
    """Returns label, person and units of the largest face of each picture. Raises Missing."""
    units = load_appearance_units()
    seen = []
    for one in source.pictures(context):
        if not kept_aside(one.person):
            continue
        image = read_picture(one.file)
        image = with_margin(with_width(image, image.shape[1] * source.scale))
        camera = Camera.assume(image.shape[1], image.shape[0])
        faces = product.still().process(Frame(image, 0.0, camera)).faces
        if faces:
            face = max(faces, key=lambda face: face.roi.width)
            (found,) = units.estimate([crop_face(image, face)])
            seen.append((one.label, one.person, found))
    return seen


def report(seen: Seen, name: str) -> None:
    neutral = any(label == "neutral" for label, _, _ in seen)
    for code in seen[0][2].units:
        used = [one for one in seen if not neutral or one[0] in (*PROTOTYPES[code], "neutral")]
        shown = np.array([label in PROTOTYPES[code] for label, _, _ in used])
        score = np.array([found.units[code].intensity for _, _, found in used])
        people = [person for _, person, _ in used]
        rank = bootstrap(lambda i, s=score, y=shown: auc(s[i], y[i]), len(used), people)
        print(
            f"{name}: AU{code}, AUC {rank.value:.2f} [{rank.low:.2f}, {rank.high:.2f}], "
            f"{shown.sum()} against {(~shown).sum()}"
        )


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
