"""Reads face patches with labels of AU, expression and VA from a data set, and draws batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch.utils.data import Dataset

from face_perception.faces import ALIGNED_SIDE, CROP_SIDE
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.multitask.export import ENLARGED
from face_perception.learning.multitask.losses import TASKS
from face_perception.learning.multitask.network import AU
from face_perception.learning.multitask.samplers import affect_weights, class_weights, label_weights
from face_perception.types import EXPRESSIONS

Array = npt.NDArray[Any]
Batch = dict[str, dict[str, torch.Tensor]]

# Task -> columns of its labels in a data set.
_LABELS = {
    "EXPR": "expression",
    "AU": ", ".join(f"au_{code}" for code in AU) + ": 0 or 1, all of them",
    "VA": "valence and arousal",
}

# Augmentation of training images: largest shift in pixels; standard deviations of the logarithm of
# the brightness, of the logarithm of each colour's gain, and of an added level (0 to 255).
_JITTER, _GAIN, _COLOUR, _LEVEL = 3, 0.25, 0.1, 15.0


@dataclass(frozen=True, slots=True)
class AffectData:
    """Labelled faces.

    ``faces`` are uint8 [N, 3, 112, 112], RGB, as the network takes them; ``people`` [N] are ids;
    ``units`` [N, 8] are 0 or 1, ``expression`` [N] is a class, ``affect`` [N, 2] is valence and
    arousal. Missing labels are -1, -1 and NaN.
    """

    faces: Array
    people: Array
    units: Array
    expression: Array
    affect: Array

    def __len__(self) -> int:
        return len(self.faces)

    def take(self, index: Array) -> AffectData:
        """Returns the samples ``index``."""
        return AffectData(
            **{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        )

    def of_task(self, task: str) -> Array:
        """Returns the indices of the samples that have labels of a task."""
        known = {
            "EXPR": self.expression >= 0,
            "AU": (self.units >= 0).all(1),
            "VA": np.isfinite(self.affect).all(1),
        }[task]
        return np.flatnonzero(known)

    def incomplete(self, random: np.random.Generator) -> AffectData:
        """Returns the samples with labels of one random task each: the setting of the paper."""
        task = random.integers(len(TASKS), size=len(self))
        expression, units, affect = self.expression.copy(), self.units.copy(), self.affect.copy()
        expression[task != TASKS.index("EXPR")] = -1
        units[task != TASKS.index("AU")] = -1
        affect[task != TASKS.index("VA")] = np.nan
        return dataclasses.replace(self, expression=expression, units=units, affect=affect)

    def labels(self, task: str, index: Array) -> torch.Tensor:
        """Returns the labels of a task, as its loss takes them."""
        if task == "EXPR":
            return torch.from_numpy(self.expression[index].astype(np.int64))
        values = self.units if task == "AU" else self.affect
        return torch.from_numpy(values[index].astype(np.float32))


def read_affect(folder: Path, split: str | None = None) -> AffectData:
    """Reads a data set, or one of its splits, into memory.

    Raises DatasetError that names what is missing or out of range.
    """
    names = [f"au_{code}" for code in AU]
    found = dataset.read(folder)
    if split is not None:
        found = found.part(split)
    table = folder / dataset.TABLE
    if not len(found):
        raise DatasetError(f"{table}: no sample{f' is in split {split}' if split else ''}")
    units, affect = found.labels(*names), found.labels("valence", "arousal")
    strange = ~np.isnan(units) & ~np.isin(units, (0, 1))
    _require_none(found, table, names, units, strange, "0, 1 or null")
    odd = ~np.isnan(affect) & ~(np.abs(affect) <= 1)
    _require_none(found, table, ("valence", "arousal"), affect, odd, "a number in [-1, 1] or null")
    expressions = found.columns.get("expression", np.full(len(found), None))
    faces = [_face(found.rgb(i, "file", (CROP_SIDE, CROP_SIDE))) for i in range(len(found))]
    return AffectData(
        faces=np.array(faces, np.uint8).reshape(-1, 3, ALIGNED_SIDE, ALIGNED_SIDE),
        people=found.columns["subject"].astype(str),
        units=np.where(np.isfinite(units), units, -1).astype(np.int8),
        expression=np.array(
            [-1 if v is None else EXPRESSIONS.index(v) for v in expressions], np.int8
        ),
        affect=affect.astype(np.float32),
    )


def _require_none(
    data: dataset.Dataset, table: Path, names: Sequence[str], values: Array, odd: Array, wanted: str
) -> None:
    """Raises DatasetError that names the first of the ``odd`` values [N, C], if there is one."""
    for i, k in np.argwhere(odd):
        sample, value = data.columns["sample"][i], values[i, k]
        raise DatasetError(
            f"{table}: sample {sample}: {names[k]} is {value:g}, {wanted} was expected"
        )


def _face(patch: Array) -> Array:
    """Returns the network's input [3, 112, 112] of a patch, as ``affect.multitask`` makes it."""
    border = (CROP_SIDE - ALIGNED_SIDE) // 2
    aligned = np.ascontiguousarray(patch[border:-border, border:-border])
    large = Pillow.fromarray(aligned).resize((ENLARGED, ENLARGED), Pillow.Resampling.BILINEAR)
    cut = (ENLARGED - ALIGNED_SIDE) // 2
    face: Array = np.asarray(large)[cut:-cut, cut:-cut].transpose(2, 0, 1)
    return face


class TaskBatches(Dataset[Batch]):
    """Batches of one epoch, each with ``size`` samples that have labels of each task.

    A batch is a function of seed, epoch and its number, so that an interrupted training continues
    unchanged. With ``balanced``, samples are drawn with the published weights (``samplers``),
    without with equal ones. Raises DatasetError if a task has no labelled sample.
    """

    def __init__(
        self, data: AffectData, *, size: int, steps: int, seed: int, epoch: int, balanced: bool
    ) -> None:
        self._data, self._size, self._steps = data, size, steps
        self._key = (seed, epoch)
        self._of = {task: data.of_task(task) for task in TASKS}
        empty = [f"{task} ({_LABELS[task]})" for task in TASKS if not len(self._of[task])]
        if empty:
            raise DatasetError(f"no sample has the labels of {', '.join(empty)}")
        self._weights = {task: self._weight(task, balanced, seed) for task in TASKS}

    def _weight(self, task: str, balanced: bool, seed: int) -> Array:
        index = self._of[task]
        weights: Array = np.ones(len(index))
        if balanced:
            labels = self._data.labels(task, index).numpy()
            if task == "EXPR":
                weights = class_weights(labels)
            elif task == "VA":
                weights = affect_weights(labels)
            else:
                weights = label_weights(labels.astype(np.int64), np.random.RandomState(seed))
        return np.asarray(weights / weights.sum())

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, number: int) -> Batch:
        random = np.random.default_rng([*self._key, number])
        batch = {}
        for task in TASKS:
            index = random.choice(self._of[task], self._size, p=self._weights[task])
            batch[task] = _sample(self._data, task, index, random)
        return batch


class WholeBatches(Dataset[Batch]):
    """Batches of one epoch, each with ``size`` samples that have labels of all tasks.

    Raises DatasetError if no sample has all labels.
    """

    def __init__(self, data: AffectData, *, size: int, steps: int, seed: int, epoch: int) -> None:
        self._data, self._size, self._steps = data, size, steps
        self._key = (seed, epoch)
        known = [set(data.of_task(task).tolist()) for task in TASKS]
        self._index = np.array(sorted(set.intersection(*known)), np.int64)
        if not len(self._index):
            raise DatasetError("no sample has the labels of all tasks")

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, number: int) -> Batch:
        random = np.random.default_rng([*self._key, number])
        index = random.choice(self._index, self._size)
        first = _sample(self._data, TASKS[0], index, random)
        return {
            task: {"face": first["face"], "label": self._data.labels(task, index)} for task in TASKS
        }


def _sample(
    data: AffectData, task: str, index: Array, random: np.random.Generator
) -> dict[str, torch.Tensor]:
    faces = torch.from_numpy(_augmented(data.faces[index], random))
    return {"face": faces, "label": data.labels(task, index)}


def _augmented(faces: Array, random: np.random.Generator) -> Array:
    """Returns augmented float32 copies: mirrored at random, shifted, and in another light.

    Without the change of light, a network learns to recognise the people and not what they show.
    """
    out = np.empty(faces.shape, np.float32)
    side = faces.shape[-1]
    padded = np.pad(faces, ((0, 0), (0, 0), (_JITTER, _JITTER), (_JITTER, _JITTER)), mode="edge")
    for i, face in enumerate(padded):
        x, y = random.integers(0, 2 * _JITTER + 1, 2)
        cut = face[:, y : y + side, x : x + side]
        out[i] = cut[..., ::-1] if random.random() < 0.5 else cut
    gain = random.normal(0, _GAIN, (len(faces), 1, 1, 1))
    gain = gain + random.normal(0, _COLOUR, (len(faces), 3, 1, 1))
    out *= np.exp(gain).astype(np.float32)
    out += random.normal(0, _LEVEL, (len(faces), 1, 1, 1)).astype(np.float32)
    return out
