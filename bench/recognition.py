"""Measures the recognition of people: verification on pairs of pictures, and naming of faces.

    python3 bench/recognition.py FOLDER [--most 4] [--people 320] [--strangers 150]

FOLDER has pictures NAME_NUMBER.jpg. Of each picture the face nearest to the middle is used.
``--people`` with two pictures or more are drawn (seed 11), and ``--strangers`` with one.

Verification: are two pictures of one person? AUC and equal error rate of all pairs, with 95 %
intervals by drawing people. The people are halved by a hash of their names: the threshold of equal
error of one half is applied to the other.

Naming: of the people of one half with four pictures, three are enrolled and the others are shown.
All other people are strangers. Counts single looks, without the votes of the node people. Its
defaults were chosen on the even half.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from face_perception.faces import crop_face, load_tracker
from face_perception.inference import load
from face_perception.media import read_picture
from face_perception.people import RECOGNITION_MODEL, FaceTemplates, RecognitionSettings
from face_perception.people.recogniser import person_distances
from face_perception.types import Camera, Frame

_BINS = np.linspace(0.0, 1.6, 641)
_DRAWS = 200
_SEED = 11


@dataclass
class Pictures:
    """Templates [N, 128] and the number [N] of the person of each."""

    names: list[str]
    templates: np.ndarray
    person: np.ndarray
    without_face: int


def chosen_files(folder: Path, people: int, strangers: int, most: int) -> dict[str, list[Path]]:
    """Returns up to ``most`` files of each drawn person."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*_[0-9]*.jpg")):
        files[path.stem.rpartition("_")[0]].append(path)
    several = [name for name in files if len(files[name]) > 1]
    single = [name for name in files if len(files[name]) == 1]
    for k, names in enumerate((several, single)):
        random.Random(_SEED + k).shuffle(names)
    return {name: files[name][:most] for name in several[:people] + single[:strangers]}


def read_pictures(files: Mapping[str, Sequence[Path]]) -> Pictures:
    tracker = load_tracker()
    estimator = FaceTemplates(load(RECOGNITION_MODEL))
    templates, person, without = [], [], 0
    for number, paths in enumerate(files.values()):
        for path in paths:
            image = read_picture(path)
            height, width = image.shape[:2]
            faces = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)))
            if not faces:
                without += 1
                continue
            middle = np.array([width / 2, height / 2])
            face = min(
                faces,
                key=lambda f: float(np.linalg.norm(f.landmarks[:, :2].mean(axis=0) - middle)),
            )
            templates.append(estimator.estimate([crop_face(image, face)], [face])[0])
            person.append(number)
    return Pictures([*files], np.array(templates), np.array(person), without)


@dataclass
class Pairs:
    """All pairs of pictures: the two people, whether they are one, and the bin of the distance."""

    one: np.ndarray
    other: np.ndarray
    same: np.ndarray
    bins: np.ndarray


def pairs_of(pictures: Pictures) -> Pairs:
    i, j = np.triu_indices(len(pictures.person), 1)
    t = pictures.templates
    squares = (t**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[i] + squares[j] - 2 * (t @ t.T)[i, j], 0))
    one, other = pictures.person[i], pictures.person[j]
    return Pairs(one, other, one == other, np.digitize(distances, _BINS) - 1)


def verification(pairs: Pairs, weight: np.ndarray) -> tuple[float, float, float]:
    """Returns AUC, equal error rate and its threshold; ``weight`` is that of each person."""
    weights = np.where(pairs.same, weight[pairs.one], weight[pairs.one] * weight[pairs.other])
    same, other = (
        np.bincount(pairs.bins[chosen], weights[chosen], len(_BINS))
        for chosen in (pairs.same, ~pairs.same)
    )
    missed = 1 - np.cumsum(same) / same.sum()
    false = np.cumsum(other) / other.sum()
    auc = float((same / same.sum() * (1 - false + 0.5 * other / other.sum())).sum())
    at = int(np.argmin(np.abs(missed - false)))
    return auc, float(missed[at] + false[at]) / 2, float(_BINS[min(at + 1, len(_BINS) - 1)])


def errors_at(pairs: Pairs, weight: np.ndarray, threshold: float) -> tuple[float, float]:
    """Returns the shares of same pairs above a threshold, and of others below it."""
    near = _BINS[pairs.bins] < threshold - 1e-9
    used = (weight[pairs.one] > 0) & (weight[pairs.other] > 0)
    return float((~near)[used & pairs.same].mean()), float(near[used & ~pairs.same].mean())


def halves(names: Sequence[str]) -> np.ndarray:
    """Returns for each person whether the hash of the name is even."""
    return np.array([hashlib.sha256(name.encode()).digest()[0] % 2 == 0 for name in names])


def naming(pictures: Pictures, settings: RecognitionSettings, half: np.ndarray) -> dict[str, int]:
    """Returns counts of single looks: right and wrong names of enrolled people and of strangers.

    People of the ``half`` are enrolled.
    """
    rows = defaultdict(list)
    for row, person in enumerate(pictures.person):
        rows[int(person)].append(row)
    gallery = [p for p in rows if len(rows[p]) >= 4 and half[p]]
    known = {str(p): pictures.templates[rows[p][:3]] for p in gallery}
    found: dict[str, int] = defaultdict(int)
    for person, its in rows.items():
        for row in its[3:] if str(person) in known else its:
            distances = person_distances(known, pictures.templates[row])
            first, second, *_ = sorted(distances, key=distances.__getitem__)
            clear = distances[second] - distances[first] >= settings.margin
            named = first if distances[first] <= settings.max_distance and clear else ""
            who = "enrolled" if str(person) in known else "stranger"
            what = "unknown" if not named else "right" if named == str(person) else "wrong"
            found[f"{who} {what}"] += 1
    found["people enrolled"] = len(gallery)
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=320, help="people with several pictures")
    parser.add_argument("--strangers", type=int, default=150, help="people with one picture")
    parser.add_argument("--most", type=int, default=4, help="pictures of one person")
    parser.add_argument("--keep", type=Path, help="file to keep the templates in, .npz")
    args = parser.parse_args()
    if args.keep and args.keep.exists():
        with np.load(args.keep) as kept:
            pictures = Pictures([*kept["names"]], kept["templates"], kept["person"], 0)
    else:
        files = chosen_files(args.folder, args.people, args.strangers, args.most)
        pictures = read_pictures(files)
        if args.keep:
            np.savez(
                args.keep,
                names=pictures.names,
                templates=pictures.templates,
                person=pictures.person,
            )
    print(
        f"{len(pictures.person)} pictures of {len(set(pictures.person.tolist()))} people, "
        f"{pictures.without_face} without a face"
    )
    pairs = pairs_of(pictures)
    count = len(pictures.names)
    auc, error, threshold = verification(pairs, np.ones(count))
    rng = np.random.default_rng(_SEED)
    drawn = [
        verification(pairs, np.bincount(rng.integers(0, count, count), minlength=count))
        for _ in range(_DRAWS)
    ]
    low, high = np.percentile(np.array(drawn)[:, :2], [2.5, 97.5], axis=0)
    print(f"pairs: {pairs.same.sum()} of one person, {(~pairs.same).sum()} of two")
    print(f"AUC {auc:.4f} ({low[0]:.4f} to {high[0]:.4f})")
    print(f"equal error {error:.2%} ({low[1]:.2%} to {high[1]:.2%}) at distance {threshold:.3f}")
    half = halves(pictures.names)
    for ours, theirs, name in ((half, ~half, "even"), (~half, half, "odd")):
        _, _, at = verification(pairs, ours.astype(float))
        missed, false = errors_at(pairs, theirs.astype(float), at)
        print(
            f"threshold {at:.3f} of the {name} half, on the other: {missed:.2%} missed, "
            f"{false:.2%} false"
        )
    for name, ours in (("even", half), ("odd", ~half)):
        for distance, margin in ((d, m) for d in (0.45, 0.5, 0.55) for m in (0.0, 0.06, 0.1)):
            counts = naming(pictures, RecognitionSettings(distance, margin), ours)
            print(f"{name} half enrolled, max_distance {distance}, margin {margin}: {counts}")


if __name__ == "__main__":
    main()
