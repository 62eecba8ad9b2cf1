"""The multitask paper's claims, put to the test on people made here: students against their teacher
under incomplete labels, the ensemble on top, balancing on and off.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from face_perception.networks.multitask import Multitask
from face_perception.synthesis import AffectSet, write_affect_set
from face_perception.training.affect_data import AffectData, read_affect
from face_perception.training.claims import Report, Row
from face_perception.training.multitask_metrics import MEASURES, evaluate
from face_perception.training.multitask_recipe import Recipe, read_recipe, train

HELD_OUT = 0.3  # of the people, others with each seed
SET = AffectSet(people=52, photos=8, samples=40, incomplete=False)

NOTE = (
    "multitask: ResNet-50 with an eighth of its channels on faces of 56x56, from scratch; 60 "
    "synthetic people (52 drawn, 8 of one photograph), 40 images each, one task's labels on each "
    "image, 30 % of the people held out with all labels. AU: half mean F1, half accuracy; EXPR: "
    "0.67 macro F1 + 0.33 accuracy; VA: sum of both CCC"
)

_SAME_START = (
    "both begin from scratch, while the paper's students begin from a network trained on faces; "
    "short training tells more about speed of learning than about its end"
)
# Claim, in the paper, what it is compared with, what is claimed to be better, a guess.
_CLAIMS = (
    ("students beat their teacher", "on most tasks", "teacher", "student", _SAME_START),
    (
        "an ensemble beats its students",
        "on all tasks",
        "student",
        "ensemble",
        "few, alike students",
    ),
    ("an ensemble beats the teacher", "on all tasks", "teacher", "ensemble", _SAME_START),
    (
        "balancing helps",
        "used throughout",
        "unbalanced teacher",
        "teacher",
        "people held out are as unbalanced as those trained on, so accuracy pays for rare labels",
    ),
)


def split(data: AffectData, seed: int) -> tuple[AffectData, AffectData]:
    """To train on, with incomplete labels; and other people, with all of them."""
    random = np.random.default_rng([97, seed])
    people = np.unique(data.people)
    held = random.permutation(people)[: max(round(HELD_OUT * len(people)), 1)]
    out = np.isin(data.people, held)
    return data.take(np.flatnonzero(~out)).incomplete(random), data.take(np.flatnonzero(out))


@dataclass(frozen=True)
class _Job:
    """One network to train: ``number`` 0 a teacher, from 1 on a student of ``teacher``."""

    seed: int
    number: int
    recipe: Recipe
    teacher: Multitask | None = None


def _trained(data: AffectData, job: _Job) -> Multitask:
    ours, _ = split(data, job.seed)
    epochs = job.recipe.student_epochs if job.teacher else job.recipe.teacher_epochs
    seed = 1000 * job.seed + job.number
    return train(ours, job.recipe, seed=seed, epochs=epochs, teacher=job.teacher)


def trained(
    data: AffectData, recipe: Recipe, seeds: Sequence[int], pool: Executor, report: Report
) -> list[dict[str, dict[str, float]]]:
    """For each seed, measures on held-out people of the teacher, one trained without balancing, the
    mean of the students, and their ensemble.
    """
    plain = dataclasses.replace(recipe, balanced=False)
    jobs = [_Job(seed, 0, kind) for seed in seeds for kind in (recipe, plain)]
    report(f"multitask: training {len(jobs)} teachers, half of them without balancing")
    alone = list(pool.map(partial(_trained, data), jobs))
    teachers = alone[::2]
    jobs = [
        _Job(seed, 1 + k, recipe, teacher)
        for seed, teacher in zip(seeds, teachers, strict=True)
        for k in range(recipe.students)
    ]
    report(f"multitask: training {len(jobs)} students")
    taught = list(pool.map(partial(_trained, data), jobs))
    found = []
    for i, seed in enumerate(seeds):
        _, others = split(data, seed)
        students = taught[i * recipe.students : (i + 1) * recipe.students]
        each = [evaluate([student], others) for student in students]
        of_this = {
            "teacher": evaluate([teachers[i]], others),
            "unbalanced teacher": evaluate([alone[2 * i + 1]], others),
            "student": {key: float(np.mean([one[key] for one in each])) for key in each[0]},
            "ensemble": evaluate(students, others),
        }
        for name, values in of_this.items():
            measured = ", ".join(f"{m} {v:.3f}" for m, v in values.items())
            report(f"multitask, seed {seed}: {name}: {measured}")
        found.append(of_this)
    return found


def compared(found: Sequence[dict[str, dict[str, float]]]) -> list[Row]:
    """The rows of the table, of what each seed gave: differences of the published measures."""
    return [
        Row(
            claim,
            paper,
            f"{measure}, {after} less {before}",
            tuple(one[after][measure] - one[before][measure] for one in found),
            guess,
        )
        for claim, paper, before, after, guess in _CLAIMS
        for measure in MEASURES
    ]


def rows(
    seeds: Sequence[int], report: Report, *, settings: AffectSet = SET, recipe: Recipe | None = None
) -> list[Row]:
    """From nothing: makes people, trains and compares, once a seed."""
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary:
        report(f"multitask: drawing {settings.people + settings.photos} people")
        folder = write_affect_set(Path(temporary) / "affect", settings, workers=workers)
        data = read_affect(folder)
    # One thread a network: layers as narrow as these gain nothing from a second.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        found = trained(data, recipe or read_recipe(), seeds, pool, report)
    return compared(found)


def _one_thread() -> None:
    torch.set_num_threads(1)
