"""Lists the pictures with a labelled expression: person, class and file of each."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from bench.accuracy.context import Context
from bench.accuracy.data_sets import CK, MUXSPACE, Missing

# Names of classes in the sets, and in the product. The product has no class for contempt.
_CLASSES = {
    "neutral": "neutral",
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "scared",
    "happy": "happy",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}
_MOST = 150  # most press photographs of one class, because most are neutral or happy
_MOST_OF_PERSON = 4  # most of these of one person, so that none dominates a class
_LETTERS = "ABCDEFGH"  # first letters of names that are read; the others are kept aside


@dataclass(frozen=True, slots=True)
class Labelled:
    file: Path
    label: str
    person: str


def ck_plus(context: Context) -> list[Labelled]:
    """Returns the last picture (the peak) of each CK+ sequence, without contempt."""
    last: dict[tuple[str, str], Path] = {}
    for file in context.files(CK, "*.png"):
        name = re.fullmatch(r"(S\d+)_(\d+)_(\d+)", file.stem)
        if name and file.parent.name in _CLASSES:
            key = (file.parent.name, f"{name[1]}_{name[2]}")
            last[key] = max(last.get(key, file), file)
    return [
        Labelled(file, _CLASSES[label], sequence.partition("_")[0])
        for (label, sequence), file in sorted(last.items())
    ]


def press(context: Context) -> list[Labelled]:
    """Returns press photographs of people named A to H, chosen by the hash of the name.

    At most ``_MOST`` of a class and ``_MOST_OF_PERSON`` of one person in it. Pictures with two
    different labels are left out.
    """
    folder = MUXSPACE.folder(context.data)
    legend = folder / "data" / "legend.csv"
    if not legend.exists():
        raise Missing(f"not measured: {folder} has no data/legend.csv")
    labels: dict[str, set[str]] = defaultdict(set)
    with legend.open(encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            if row["image"][:1] in _LETTERS and (folder / "images" / row["image"]).exists():
                labels[row["image"]].add(row["emotion"].lower())
    chosen: list[Labelled] = []
    of_class: Counter[str] = Counter()
    of_person: Counter[tuple[str, str]] = Counter()
    for name in sorted(labels, key=lambda name: hashlib.sha256(name.encode()).digest()):
        label = _CLASSES.get(min(labels[name]))
        person = re.sub(r"_\d+\.\w+$", "", name)
        if len(labels[name]) > 1 or label is None or of_class[label] >= _MOST:
            continue
        if of_person[label, person] < _MOST_OF_PERSON:
            of_class[label] += 1
            of_person[label, person] += 1
            chosen.append(Labelled(folder / "images" / name, label, person))
    return sorted(chosen, key=lambda one: one.file.name)
