"""Measures what the default networks say about the expressions of rendered people.

    python3 bench/rendered_expressions.py FOLDER

FOLDER is what ``python -m face_perception.learning.synthesis.rendered FOLDER --expressions`` wrote.
Each picture is read as a still. Prints, with 95 % intervals over people: the accuracy of the
expression for pictures with a class, for all and for strong expressions, a table of true and stated
classes, and the correlation of valence and arousal with the truth.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from bench.accuracy import product
from bench.accuracy.pictures import read_picture, with_margin
from face_perception.learning.synthesis.rendered.dataset import read_truths
from face_perception.statistics import bootstrap, correlation, mean
from face_perception.types import EXPRESSIONS, Camera, Frame

_STRONG = 0.6  # intensity of the strongest action unit


@dataclass(frozen=True)
class Seen:
    """The truth about a picture, and what the product says."""

    person: str
    label: str
    strong: bool
    true: tuple[float, float]  # valence, arousal
    said: str
    found: tuple[float, float]


def look(folder: Path) -> tuple[list[Seen], int]:
    """Returns the pictures with a face and a class, and the number of those without a face."""
    seen, missed = [], 0
    for truth in read_truths(folder):
        if truth["expression"] not in EXPRESSIONS:
            continue
        image = with_margin(read_picture(folder / truth["file"]))
        camera = Camera.assume(image.shape[1], image.shape[0])
        result = product.still().process(Frame(np.ascontiguousarray(image), 0.0, camera))
        if not result.faces:
            missed += 1
            continue
        k = max(range(len(result.faces)), key=lambda i: result.faces[i].roi.width)
        units = truth["action_units"].values()
        affect = result.valence_arousal[k]
        seen.append(
            Seen(
                str(truth["person"]["seed"]),
                truth["expression"],
                max(units, default=0.0) >= _STRONG,
                (truth["valence"], truth["arousal"]),
                result.expressions[k].label,
                (affect.valence, affect.arousal),
            )
        )
    return seen, missed


def report(seen: Sequence[Seen], missed: int) -> None:
    print(f"{len(seen)} pictures with a face; {missed} without")
    strong = [one for one in seen if one.strong or one.label == "neutral"]
    for name, part in (("all", seen), ("neutral and strong ones", strong)):
        right = mean([one.said == one.label for one in part], [one.person for one in part])
        print(
            f"accuracy, {name}: {right.value:.2f} [{right.low:.2f}, {right.high:.2f}], n {right.n}"
        )
    for label in EXPRESSIONS:
        said = Counter(one.said or "none" for one in seen if one.label == label)
        print(f"true {label} ({said.total()}): {dict(said.most_common())}")
    people = [one.person for one in seen]
    for axis, name in enumerate(("valence", "arousal")):
        true = np.array([one.true[axis] for one in seen])
        found = np.array([one.found[axis] for one in seen])
        r = bootstrap(lambda i, a=true, b=found: correlation(a[i], b[i]), len(seen), people)
        print(f"{name}: correlation {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of rendered people")
    report(*look(parser.parse_args().folder))


if __name__ == "__main__":
    main()
