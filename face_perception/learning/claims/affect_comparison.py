"""Multitask networks beside what the affect node does by default, on the same images: action units
of landmarks, the expression network, and valence and arousal derived from it.
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

IMAGES_EACH = 8  # images of each person
_BORDER = CROP_SIDE // 2  # about a patch: the detector wants a face with something round it
_REST = 30.0  # seconds of its rest that a face is followed for
_APART = 1.0  # seconds between two images: nothing is smoothed, and nobody is taken for another
_STEP = 0.1  # seconds that an image teaches about the rest

ALONE, NEUTRAL_KNOWN, NETWORK = "default, each image alone", "default, rest known", "ensemble"


@dataclass(frozen=True, slots=True)
class AffectEstimates:
    """``units`` [N, 8] intensities in the order of ``AU``, present from PRESENT on, NaN where not
    told; ``expression`` [N] class; ``affect`` [N, 2] valence and arousal.
    """

    units: Array
    expression: Array
    affect: Array

    def take(self, index: Array) -> AffectEstimates:
        """Those of some images alone."""
        return AffectEstimates(self.units[index], self.expression[index], self.affect[index])


def first_images(people: Array, wanted: Array) -> Array:
    """Indices of the first ``IMAGES_EACH`` images of each of the ``wanted`` people."""
    return np.concatenate(
        [np.flatnonzero(people == person)[:IMAGES_EACH] for person in np.unique(wanted)]
    )


def default_estimates(folder: Path, data: AffectData, index: Array) -> dict[str, AffectEstimates]:
    """Answers on the images ``index`` of the data set ``folder``, of which ``data`` is all, with
    each image on its own (ALONE), and with the person's rest learned first (KNOWN), from those of
    them that are labelled neutral and with no unit.
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
    """A network's, of its logits; units are 1 or 0."""
    return AffectEstimates(
        (logits["au"] > 0).numpy().astype(np.float64),
        logits["expression"].argmax(1).numpy(),
        valence_arousal(logits),
    )


def scores(answers: Mapping[str, AffectEstimates], data: AffectData) -> dict[str, dict[str, float]]:
    """By measure, then by who answered: F1 of each unit that is shown, their mean over those that
    all tell, macro F1 and accuracy of the expression, the CCC. Units count where all tell them.
    """
    out: dict[str, dict[str, float]] = {}
    told = {name: np.isfinite(one.units) for name, one in answers.items()}
    in_all = np.all([mask.any(0) for mask in told.values()], axis=0)
    seen_by_all = np.all([mask[:, in_all].all(1) for mask in told.values()], axis=0)
    out["face found by the mesh, %"] = {
        name: 100 * float(mask.any(1).mean()) for name, mask in told.items()
    }
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
    out["AU F1, mean of those that both tell"] = {
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
    """The table, of ``scores`` of each seed by kind of people."""
    columns = [(kind, name) for kind in found for name in (ALONE, NEUTRAL_KNOWN, NETWORK)]
    rows = list(dict.fromkeys(row for seeds in found.values() for one in seeds for row in one))
    lines = [
        "## Multitask trained on drawn people, beside the default `affect`",
        "",
        f"The same images, {IMAGES_EACH} of each held-out person; the network is the ensemble. The",
        "default: landmarks' action units, present from 0.4; the package's expression network;",
        "valence and arousal derived from it. Rest known: the face was followed for",
        f"{_REST:.0f} s at rest before, in those of its images (where there are) that are labelled",
        "neutral and with no unit. Units count on images in which the mesh found the face. Not",
        "compared: AU6, which landmarks do not tell, and the default's 5, 18, 26 and 45, which the",
        "network does not. The photograph has other proportions in each person; no network was",
        "trained on it. Labels and images are those of `synthesis`, where the network learned:",
        "they favour it, and say nothing of people.",
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
    """The largest that the mesh finds in a patch, always of the same id."""
    around = (_BORDER, _BORDER)
    wide = np.pad(patch, (around, around, (0, 0)), mode="edge")
    found = tracker.detect(Frame(wide, 0.0, Camera.assume(wide.shape[1], wide.shape[0])))
    if not found:
        return None
    largest = max(found, key=lambda face: face.roi.width * face.roi.height)
    return dataclasses.replace(largest, id="a")


def _learn_neutral(rest: Sequence[Face]) -> LandmarkActionUnits:
    """What has followed a person for a while, at rest."""
    landmarks = LandmarkActionUnits()
    for k in range(round(_REST / _STEP) if rest else 0):
        landmarks.estimate(rest[k % len(rest)], k * _APART)
    return landmarks


def _units(face: Face | None, landmarks: LandmarkActionUnits) -> Array:
    """Intensities [8] of a face; NaN for no face."""
    out = np.full(len(AU), np.nan)
    if face is None:
        return out
    told = landmarks.estimate(face, _REST / _STEP * _APART).units
    for k, code in enumerate(AU):
        if code in told:
            out[k] = told[code].intensity
    return out
