"""Compares multitask networks with the default of the affect node, on the same images.

The default takes action units from landmarks alone (``appearance: false``), and valence and arousal
from the expression network.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.affect import ExpressionNet, LandmarkActionUnits, derive_valence_arousal
from face_perception.faces import CROP_SIDE, FaceTracker, load_tracker
from face_perception.inference import load
from face_perception.learning.claims.table import mean_with_interval
from face_perception.learning.data import dataset
from face_perception.learning.multitask.affect_data import AffectData
from face_perception.learning.multitask.metrics import f1, macro_f1, population_ccc, valence_arousal
from face_perception.learning.multitask.network import AU, Logits
from face_perception.learning.synthesis.emfacs import PRESENT
from face_perception.types import Camera, Face, FaceCrop, Frame, Image

Array = npt.NDArray[Any]

IMAGES_EACH = 8  # number of images of each person
_BORDER = CROP_SIDE // 2  # border around a patch: the detector needs a margin around a face
_REST = 30.0  # seconds for which a neutral face is tracked
_APART = 1.0  # seconds between two images, so that nothing is smoothed
_STEP = 0.1  # seconds of tracking that an image of the neutral face stands for

ALONE, NEUTRAL_KNOWN, NETWORK = "default, each image alone", "default, neutral known", "ensemble"


@dataclass(frozen=True, slots=True)
class AffectEstimates:
    """Estimates for N faces.

    ``units`` [N, 8] are intensities in the order of ``AU``, NaN if not estimated; a unit counts as
    present from PRESENT up. ``expression`` [N] is a class, ``affect`` [N, 2] valence and arousal.
    """

    units: Array
    expression: Array
    affect: Array

    def take(self, index: Array) -> AffectEstimates:
        """Returns the estimates of the images ``index``."""
        return AffectEstimates(self.units[index], self.expression[index], self.affect[index])


def first_images(people: Array, wanted: Array) -> Array:
    """Returns the indices of the first ``IMAGES_EACH`` images of each of the ``wanted`` people."""
    return np.concatenate(
        [np.flatnonzero(people == person)[:IMAGES_EACH] for person in np.unique(wanted)]
    )


def default_estimates(folder: Path, data: AffectData, index: Array) -> dict[str, AffectEstimates]:
    """Returns the default's estimates for the images ``index`` of the data set ``data``.

    ALONE estimates each image separately. NEUTRAL_KNOWN first learns the person's neutral face from
    those of the images that are labelled neutral and without action units. ``folder`` is that of
    the data set.
    """
    found = dataset.read(folder)
    size = (CROP_SIDE, CROP_SIDE)
    crops = [FaceCrop(str(i), found.rgb(int(i), "file", size), np.eye(2, 3)) for i in index]
    expressions = ExpressionNet(load("expression")).estimate(crops)
    derived = [derive_valence_arousal(expression) for expression in expressions]
    tracker = load_tracker()
    faces = [_face(crop.image, tracker) for crop in crops]
    label = np.array([int(e.probability.argmax()) for e in expressions])
    affect = np.array([(one.valence, one.arousal) for one in derived])
    resting = (data.units[index] == 0).all(1) & (data.expression[index] == 0)
    out = {}
    for name in (ALONE, NEUTRAL_KNOWN):
        units = np.full((len(index), len(AU)), np.nan)
        for person in np.unique(data.people[index]):
            own = np.flatnonzero(data.people[index] == person)
            rest = [faces[i] for i in own if resting[i]] if name == NEUTRAL_KNOWN else []
            landmarks = _learn_neutral([face for face in rest if face is not None])
            for i in own:
                units[i] = _units(faces[i], copy.deepcopy(landmarks))
        out[name] = AffectEstimates(units, label, affect)
    return out


def network_estimates(logits: Logits) -> AffectEstimates:
    """Returns the estimates of a network from its logits; units are 1 or 0."""
    return AffectEstimates(
        (logits["au"] > 0).numpy().astype(np.float64),
        logits["expression"].argmax(1).numpy(),
        valence_arousal(logits),
    )


def scores(answers: Mapping[str, AffectEstimates], data: AffectData) -> dict[str, dict[str, float]]:
    """Returns scores by measure, then by estimator.

    They are the F1 of each unit that occurs, its mean over units that all estimators have, macro F1
    and accuracy of the expression, and the CCCs. Units count in images for which all estimators
    have them.
    """
    out: dict[str, dict[str, float]] = {}
    told = {name: np.isfinite(one.units) for name, one in answers.items()}
    in_all = np.all([mask.any(0) for mask in told.values()], axis=0)
    seen_by_all = np.all([mask[:, in_all].all(1) for mask in told.values()], axis=0)
    out["face found, %"] = {name: 100 * float(mask.any(1).mean()) for name, mask in told.items()}
    of_unit: dict[str, list[float]] = {name: [] for name in answers}
    for k, code in enumerate(AU):
        truth = data.units[seen_by_all, k] == 1
        if not truth.any():
            continue
        row = out.setdefault(f"AU{code} F1", {})
        for name, one in answers.items():
            if told[name][:, k].any():
                row[name] = f1(one.units[seen_by_all, k] >= PRESENT, truth)
                if in_all[k]:
                    of_unit[name].append(row[name])
    out["AU F1, mean of the units that both have"] = {
        name: float(np.mean(values)) if values else math.nan for name, values in of_unit.items()
    }
    for name, one in answers.items():
        label = data.expression
        out.setdefault("EXPR F1", {})[name] = macro_f1(one.expression, label)
        out.setdefault("EXPR accuracy", {})[name] = float((one.expression == label).mean())
        for k, what in enumerate(("valence", "arousal")):
            row = out.setdefault(f"CCC {what}", {})
            row[name] = population_ccc(one.affect[:, k], data.affect[:, k])
    return out


def comparison_table(found: Mapping[str, Sequence[dict[str, dict[str, float]]]]) -> str:
    """Returns a table of the ``scores`` of each seed, by kind of people."""
    columns = [(kind, name) for kind in found for name in (ALONE, NEUTRAL_KNOWN, NETWORK)]
    rows = list(dict.fromkeys(row for seeds in found.values() for one in seeds for row in one))
    lines = [
        "## Multitask trained on synthetic people, and the default of `affect`",
        "",
        f"Both estimate the same {IMAGES_EACH} images of each held-out person; the network is the",
        "ensemble. The default is measured with `appearance: false`: it has action units from",
        "landmarks, present from 0.4 up, and valence and arousal from the package's expression",
        f"network. Neutral known: the face was tracked for {_REST:.0f} s before, in its images",
        "that are labelled neutral and without action units, if there are any. Action units count",
        "in images in which the face was found. Not compared are AU6, which landmarks do not show,",
        "and the default's 5, 18, 26 and 45, which the network does not have. The photograph has",
        "other proportions for each person; no network was trained on it. Labels and images are",
        "made by `synthesis`, like those that the network was trained on: they favour it, and say",
        "nothing about people.",
        "",
        "| measure | " + " | ".join(f"{kind}: {name}" for kind, name in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for row in rows:
        cells = []
        for kind, name in columns:
            values = [one[row][name] for one in found[kind] if name in one.get(row, {})]
            known = [value for value in values if math.isfinite(value)]
            mesh = row.startswith("face found") and name == NETWORK
            cells.append("" if mesh or not known else mean_with_interval(known, ".3g"))
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _face(patch: Image, tracker: FaceTracker) -> Face | None:
    """Returns the face in a patch, always with the same id; None if no face is found."""
    around = (_BORDER, _BORDER)
    wide = np.pad(patch, (around, around, (0, 0)), mode="edge")
    frame = Frame(wide, 0.0, Camera.assume(wide.shape[1], wide.shape[0]))
    found = tracker.detect(frame, max_faces=1)
    return dataclasses.replace(found[0], face_id="a") if found else None


def _learn_neutral(rest: Sequence[Face]) -> LandmarkActionUnits:
    """Returns an estimator that has tracked a person with a neutral face for a while."""
    landmarks = LandmarkActionUnits()
    for k in range(round(_REST / _STEP) if rest else 0):
        landmarks.estimate(rest[k % len(rest)], k * _APART)
    return landmarks


def _units(face: Face | None, landmarks: LandmarkActionUnits) -> Array:
    """Returns the intensities [8] of a face; NaN for no face."""
    out = np.full(len(AU), np.nan)
    if face is None:
        return out
    told = landmarks.estimate(face, _REST / _STEP * _APART).units
    for k, code in enumerate(AU):
        if code in told:
            out[k] = told[code].intensity
    return out
