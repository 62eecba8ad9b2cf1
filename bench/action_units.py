"""Measures how well action units separate posed expressions from neutral faces; fits the neutral.

Input is a CSV with the columns picture (a path relative to the CSV), person and expression. One
expression is ``neutral``; ``normal``, ``noglasses`` and ``centerlight`` of the Yale face database
count as neutral. Prints for each action unit the AUC of the expressions whose prototype (EMFACS)
contains it, against neutral pictures of the same people, with the 95 % interval over people.
Compares three neutrals: the population's, one learned from 6 s of the person's other neutral
pictures, and one set from these.

    python3 bench/action_units.py [--appearance] [--blendshapes] LIST.csv [LIST.csv ...]
    python3 bench/action_units.py --blendshapes --population LIST.csv   # POPULATION and SPREAD

People with a single neutral picture are used by ``--population`` only. In a list without neutral
pictures (CK+48) expressions are compared with the other expressions, and the mean over a person's
expressions is set as the neutral face.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from face_perception.affect import (
    AppearanceNet,
    BlendshapesNet,
    FaceMeasures,
    LandmarkActionUnits,
    load_appearance,
    measure_face,
    median_measures,
)
from face_perception.faces import FaceTracker, crop_face, load_tracker
from face_perception.inference import load
from face_perception.statistics import auc
from face_perception.types import Blendshapes, Camera, Face, Frame

NEUTRAL = ("neutral", "normal", "noglasses", "centerlight")
STATES = ("population", "learned", "set")
# EMFACS: action unit -> expressions that contain it, by the beginning of their names.
PROTOTYPES = {
    1: ("sad", "surpris", "fear", "scared"),
    2: ("surpris",),
    4: ("ang", "sad", "disgust"),
    5: ("surpris", "fear", "scared"),
    6: ("happ",),
    9: ("disgust",),
    12: ("happ",),
    15: ("sad",),
    17: ("sad", "ang"),
    20: ("fear", "scared"),
    25: ("surpris", "happ"),
    26: ("surpris",),
}
_RATE, _SECONDS = 10.0, 6.0
_MOST_TURN = math.radians(20)
_CLOSED = 0.02  # mouth_opening below which lips count as closed


@dataclass(frozen=True)
class Picture:
    """One labelled face."""

    person: str
    expression: str
    face: Face
    blendshapes: Blendshapes | None
    appearance: dict[int, float] | None

    @property
    def neutral(self) -> bool:
        return self.expression in NEUTRAL


def read(
    listing: Path,
    tracker: FaceTracker,
    network: BlendshapesNet | None = None,
    appearance: AppearanceNet | None = None,
) -> list[Picture]:
    """Returns the largest face of each picture, and counts pictures without a face."""
    pictures, missed = [], 0
    with listing.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            image = cv2.imread(str(listing.parent / row["picture"]))
            if image is None:
                raise SystemExit(f"{listing}: {row['picture']} cannot be read as a picture")
            if max(image.shape) < 200:
                image = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
            # Faces that fill the picture are found with a margin.
            y, x = image.shape[0] // 2, image.shape[1] // 2
            gray = (127, 127, 127)
            image = cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_CONSTANT, value=gray)
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            camera = Camera.assume(image.shape[1], image.shape[0])
            found = [f for f in tracker.detect(Frame(image, 0.0, camera)) if f.pose is not None]
            missed += not found
            if found:
                face = max(found, key=lambda face: face.roi.width)
                face = replace(face, face_id="face", left_eye_openness=1.0, right_eye_openness=1.0)
                blendshapes = network.estimate([face])[0] if network else None
                crops = [crop_face(image, face)]
                seen = appearance.estimate(crops)[0] if appearance else None
                what = row["person"], row["expression"].lower()
                pictures.append(Picture(*what, face, blendshapes, seen))
    print(f"{listing}: {len(pictures)} faces; {missed} pictures without a face")
    return pictures


def intensities(pictures: Sequence[Picture]) -> dict[str, list[dict[int, float]]]:
    """Returns the action unit intensities of each picture of a person, by kind of neutral face.

    Empty for a person with too few pictures.
    """
    people: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        people[picture.person].append(picture)
    any_neutral = any(picture.neutral for picture in pictures)
    found: dict[str, list[dict[int, float]]] = {state: [] for state in STATES}
    for picture in pictures:
        others = [p for p in people[picture.person] if p is not picture]
        rest = [p for p in others if p.neutral]
        enough = bool(rest) if any_neutral else len({p.expression for p in others}) >= 3
        learned, given = LandmarkActionUnits(), LandmarkActionUnits()
        if any_neutral and rest:
            for k in range(round(_SECONDS * _RATE)):
                shown = rest[k % len(rest)]
                learned.estimate(shown.face, k / _RATE, shown.blendshapes, shown.appearance)
            given.set_neutral("face", _median(rest))
        elif enough:
            given.set_neutral("face", _middle(people[picture.person]))
        for state, units in zip(STATES, (LandmarkActionUnits(), learned, given), strict=True):
            usable = enough and (state != "learned" or any_neutral)
            answer = {}
            for k in range(10 if usable else 0):
                at = _SECONDS + k / _RATE
                shown = units.estimate(picture.face, at, picture.blendshapes, picture.appearance)
                answer = {code: unit.intensity for code, unit in shown.units.items()}
            found[state].append(answer)
    return found


def _median(pictures: Iterable[Picture]) -> FaceMeasures:
    return median_measures(measure_face(p.face, p.blendshapes, p.appearance) for p in pictures)


def _middle(pictures: Iterable[Picture]) -> FaceMeasures:
    """Returns the mean over a person's expressions, each with the same weight."""
    classes: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        classes[picture.expression].append(picture)
    means = [_median(shown) for shown in classes.values()]
    return FaceMeasures(*(float(v) for v in np.mean(means, axis=0)))


def interval(people: np.ndarray, value: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval, over people, of ``value`` of the chosen rows."""
    rng, names = np.random.default_rng(0), np.unique(people)
    rows = {name: np.flatnonzero(people == name) for name in names}
    values = [
        value(np.concatenate([rows[name] for name in rng.choice(names, len(names))]))
        for _ in range(200)
    ]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def report(pictures: Sequence[Picture]) -> list[dict[str, float | str]]:
    """Returns a row for each unit and kind of neutral: AUC, its interval, numbers of pictures."""
    found = intensities(pictures)
    people = np.array([p.person for p in pictures])
    expressions = np.array([p.expression for p in pictures])
    neutral = np.array([p.neutral for p in pictures])
    rows: list[dict[str, float | str]] = []
    for code, prototype in PROTOTYPES.items():
        shown = np.array([e.startswith(prototype) for e in expressions])
        for state in STATES:
            score = np.array([answer.get(code, math.nan) for answer in found[state]])
            used = np.array([bool(answer) for answer in found[state]])
            used &= shown | (neutral if neutral.any() else ~shown)
            if not used.any() or not shown[used].any() or not np.isfinite(score[used]).any():
                continue
            s, y, who = score[used], shown[used], people[used]
            low, high = interval(who, lambda i, s=s, y=y: auc(s[i], y[i]))  # type: ignore[misc]
            row = {"unit": code, "neutral": state, "auc": auc(s, y), "low": low, "high": high}
            rows.append({**row, "shown": int(y.sum()), "not": int((~y).sum())})
    return rows


def population(pictures: Sequence[Picture]) -> tuple[FaceMeasures, FaceMeasures, int, int]:
    """Returns mean and standard deviation between people of neutral faces with closed lips.

    Also returns the numbers of people and pictures.
    """
    people: dict[str, list[FaceMeasures]] = defaultdict(list)
    for picture in pictures:
        pose = picture.face.pose
        assert pose is not None
        features = measure_face(picture.face, picture.blendshapes, picture.appearance)
        ahead = abs(pose.yaw) < _MOST_TURN and abs(pose.pitch) < _MOST_TURN
        if picture.neutral and ahead and features and features.mouth_opening < _CLOSED:
            people[picture.person].append(features)
    means = np.array([np.mean(seen, axis=0) for seen in people.values()])
    count = sum(map(len, people.values()))
    return FaceMeasures(*means.mean(axis=0)), FaceMeasures(*means.std(axis=0)), len(people), count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("lists", metavar="LIST.csv", type=Path, nargs="+")
    parser.add_argument("--population", action="store_true", help="fit POPULATION, SPREAD instead")
    parser.add_argument("--blendshapes", action="store_true", help="use them as evidence")
    parser.add_argument("--appearance", action="store_true", help="use the image of the face too")
    args = parser.parse_args()
    tracker = load_tracker()
    appearance = load_appearance() if args.appearance else None
    network = BlendshapesNet(load("blendshapes")) if args.blendshapes else None
    for listing in args.lists:
        pictures = read(listing, tracker, network, appearance)
        if args.population:
            mean, spread, people, count = population(pictures)
            print(f"{people} people, {count} pictures")
            for name, m, s in zip(FaceMeasures._fields, mean, spread, strict=True):
                print(f"{name:14s} {m:.4f} {s:.4f}")
            continue
        for row in report(pictures):
            print(
                "AU{unit:<3} {neutral:10s} AUC {auc:.3f} [{low:.3f}, {high:.3f}], "
                "{shown} against {not}".format(**row)
            )


if __name__ == "__main__":
    main()
