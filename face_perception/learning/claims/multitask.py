"""Tests the claims of the multitask paper on synthetic people.

They compare students with their teacher under incomplete labels, the ensemble with its students,
and training with and without balancing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from face_perception.learning.claims import affect_comparison as comparison
from face_perception.learning.claims.table import Outcome, Report, Row, mean_with_interval
from face_perception.learning.machine_share import processors
from face_perception.learning.multitask.affect_data import AffectData, read_affect
from face_perception.learning.multitask.metrics import (
    MEASURES,
    chance_scores,
    evaluate_networks,
    predict_logits,
)
from face_perception.learning.multitask.network import Multitask, average_probabilities
from face_perception.learning.multitask.recipe import (
    MultitaskRecipe,
    Trunk,
    read_multitask_recipe,
    train,
    train_trunk,
    trunk_weights,
    write_trunk_people,
)
from face_perception.learning.processes import finished_calls, results_in_order
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.learning.training_loop import has_checkpoint

HELD_OUT = 0.3  # share of the people; each seed holds out others
SET = AffectSet(people=60, photos=6, samples=40, incomplete=False)
RECIPE = read_multitask_recipe()

NOTE = (
    f"Multitask: ResNet-50 with {RECIPE.width:g} of its channels on faces of 56x56. Its trunk "
    f"learned from all labels of {RECIPE.trunk_images} images of each of {RECIPE.trunk_people} "
    f"synthetic people, {RECIPE.trunk_epochs} epochs (in the paper: from FER+). Then {SET.people} "
    f"other synthetic people, {SET.samples} images each, labels of one task on each image, "
    f"{RECIPE.teacher_epochs} epochs of teachers, {RECIPE.student_epochs} of {RECIPE.students} "
    f"students; {HELD_OUT:.0%} of these people were held out, with all labels. {SET.photos} people "
    "made of one photograph were not used in training: they are in the last table only. AU: half "
    "mean F1, half accuracy; EXPR: 0.67 macro F1 + 0.33 accuracy; VA: sum of both CCCs. Chance: "
    "the best constant answer"
)

# Claim, claim in the paper, network that is compared, network that is claimed to be better.
_CLAIMS = (
    ("students beat their teacher", "on most tasks", "teacher", "student"),
    ("an ensemble beats its students", "on all tasks", "student", "ensemble"),
    ("an ensemble beats the teacher", "on all tasks", "teacher", "ensemble"),
    ("balancing helps", "used throughout", "unbalanced teacher", "teacher"),
)
_PARTS = {
    "AU": ("AU F1", "AU accuracy"),
    "EXPR": ("EXPR F1", "EXPR accuracy"),
    "VA": ("CCC valence", "CCC arousal"),
}

Scores = dict[str, dict[str, float]]


def split(data: AffectData, seed: int) -> tuple[AffectData, AffectData]:
    """Returns people for training, with incomplete labels, and others, with all labels."""
    random = _random(seed)
    out = np.isin(data.people, _held_out(data, random))
    ours = _is_synthetic(data.people) & ~out
    return data.take(np.flatnonzero(ours)).incomplete(random), data.take(np.flatnonzero(out))


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng([97, seed])


def _held_out(data: AffectData, random: np.random.Generator) -> npt.NDArray[Any]:
    """Returns the synthetic people who are held out."""
    people = np.unique(data.people[_is_synthetic(data.people)])
    return random.permutation(people)[: max(round(HELD_OUT * len(people)), 1)]


def _is_synthetic(people: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Returns True for people who are not made of the photograph.

    People made of the photograph share a face, so they cannot be split into training and test.
    """
    return np.char.startswith(people.astype(str), "drawn_")


@dataclass(frozen=True)
class _Job:
    """One network to train: ``number`` is 0 for a teacher, 1 and above for its students."""

    seed: int
    number: int
    recipe: MultitaskRecipe
    trunk: Trunk | None
    folder: Path
    teacher: Multitask | None = None


def _train_job(data: AffectData, job: _Job) -> Multitask:
    ours, _ = split(data, job.seed)
    return train(
        ours,
        job.recipe,
        seed=1000 * job.seed + job.number,
        epochs=job.recipe.student_epochs if job.teacher else job.recipe.teacher_epochs,
        trunk=job.trunk,
        teacher=job.teacher,
        folder=job.folder,
        resume=has_checkpoint(job.folder),
    )


def train_and_measure(
    data: AffectData,
    recipe: MultitaskRecipe,
    seeds: Sequence[int],
    report: Report,
    work: Path,
    trunk: Trunk | None = None,
    judge: Callable[[int, Sequence[Multitask]], None] = lambda seed, students: None,
) -> list[Scores]:
    """Trains the networks of each seed and returns their measures on held-out people, by seed.

    They are those of the teacher, a teacher without balancing, the students (mean), their ensemble,
    and chance. ``judge`` is called with each seed and its students.
    """
    plain = dataclasses.replace(recipe, balanced=False)
    jobs = [
        _Job(seed, 0, kind, trunk, work / f"seed_{seed}_{name}")
        for seed in seeds
        for kind, name in ((recipe, "teacher"), (plain, "unbalanced"))
    ]
    alone = _train_jobs(data, jobs, report, "teachers, half of them without balancing")
    teachers = alone[::2]
    jobs = [
        _Job(seed, 1 + k, recipe, trunk, work / f"seed_{seed}_student_{k}", teacher)
        for seed, teacher in zip(seeds, teachers, strict=True)
        for k in range(recipe.students)
    ]
    taught = _train_jobs(data, jobs, report, "students")
    found = []
    for i, seed in enumerate(seeds):
        _, others = split(data, seed)
        students = taught[i * recipe.students : (i + 1) * recipe.students]
        each = [evaluate_networks([student], others) for student in students]
        of_this = {
            "chance": chance_scores(others),
            "teacher": evaluate_networks([teachers[i]], others),
            "unbalanced teacher": evaluate_networks([alone[2 * i + 1]], others),
            "student": {key: float(np.mean([one[key] for one in each])) for key in each[0]},
            "ensemble": evaluate_networks(students, others),
        }
        for name, values in of_this.items():
            measured = ", ".join(f"{m} {v:.3f}" for m, v in values.items())
            report(f"multitask, seed {seed}: {name}: {measured}")
        found.append(of_this)
        judge(seed, students)
    return found


def compare_with_default(
    folder: Path, data: AffectData, students: dict[int, Sequence[Multitask]], report: Report
) -> str:
    """Returns a table that compares each seed's ensemble with the default of the affect node.

    Both see the same images of held-out synthetic people, and of people made of the photograph.
    ``data`` is the whole data set in ``folder``.
    """
    report("multitask: comparing with the default of the affect node")
    photos = np.unique(data.people[~_is_synthetic(data.people)])
    held = {seed: _held_out(data, _random(seed)) for seed in students}
    every = comparison.first_images(data.people, np.concatenate([photos, *held.values()]))
    default = comparison.default_estimates(folder, data, every)
    scores: dict[str, list[dict[str, dict[str, float]]]] = {}
    for seed, networks in students.items():
        for kind, people in (("synthetic", held[seed]), ("photograph", photos)):
            own = np.isin(data.people[every], people)
            some = data.take(every[own])
            logits = average_probabilities([predict_logits(one, some.faces) for one in networks])
            answers = {name: one.take(own) for name, one in default.items()}
            answers[comparison.NETWORK] = comparison.network_estimates(logits)
            scores.setdefault(kind, []).append(comparison.scores(answers, some))
    return comparison.comparison_table(scores)


def _train_jobs(
    data: AffectData, jobs: Sequence[_Job], report: Report, what: str
) -> list[Multitask]:
    """Trains networks in several processes, and returns them in the order of ``jobs``."""
    report(f"multitask: training {len(jobs)} {what}")
    begin, made = time.monotonic(), dict[int, Multitask]()
    calls = [(data, job) for job in jobs]
    with closing(finished_calls(_train_job, calls, processors(), start=_one_thread)) as results:
        for number, network in results:
            made[number] = network
            minutes = (time.monotonic() - begin) / 60
            report(f"multitask: {len(made)} of {len(jobs)} {what}, {minutes:.1f} minutes")
    return [made[number] for number in range(len(jobs))]


def outcome_of(found: Sequence[Scores]) -> Outcome:
    """Returns rows with the differences of the published measures, and a table of the measures."""
    rows = [
        Row(
            claim,
            paper,
            f"{measure}, {after} minus {before}",
            tuple(one[after][measure] - one[before][measure] for one in found),
            _explanation(found, before, after, measure),
        )
        for claim, paper, before, after in _CLAIMS
        for measure in MEASURES
    ]
    names = list(found[0])
    lines = [
        "## Multitask, on held-out people",
        "",
        f"| measure | {' | '.join(names)} |",
        "|---|" + "---|" * len(names),
    ]
    for key in found[0]["teacher"]:
        cells = [
            mean_with_interval([one[name][key] for one in found]) if key in found[0][name] else ""
            for name in names
        ]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return Outcome(rows, ["\n".join(lines) + "\n"])


def _explanation(found: Sequence[Scores], before: str, after: str, measure: str) -> str:
    """Returns the change of each part of the measure, and a possible reason."""

    def moved(part: str) -> float:
        return float(np.mean([one[after][part] - one[before][part] for one in found]))

    first, second = (moved(part) for part in _PARTS[measure])
    if before == "unbalanced teacher" and measure == "VA":
        reason = "rare cells are drawn more often than they occur in held-out people"
    elif before == "unbalanced teacher" and second < min(first, 0):
        reason = "rare labels are predicted more often than they occur in held-out people"
    elif before == "unbalanced teacher":
        reason = "the few images of rare labels are drawn very often, and learned by heart"
    elif before == "student":
        reason = "students of one trunk and one teacher make similar errors"
    elif moved(measure) > 0:
        reason = "less than seeds differ: a trunk trained on the tasks leaves little to gain"
    else:
        reason = "wrong soft labels of the teacher blur the true labels"
    parts = ", ".join(f"{part} {moved(part):+.3f}" for part in _PARTS[measure])
    return f"{parts}: {reason}"


def rows(
    seeds: Sequence[int],
    report: Report,
    work: Path,
    *,
    settings: AffectSet = SET,
    recipe: MultitaskRecipe = RECIPE,
) -> Outcome:
    """Makes people, trains and compares the networks of each seed.

    ``work`` keeps finished networks, and finished epochs of the others.
    """
    own, people = work / "trunk_people", work / "people"
    if not own.exists():
        report(f"multitask: painting {recipe.trunk_people} people for the trunk")
        write_trunk_people(own, recipe, processors())
    report(
        f"multitask: training the trunk, {recipe.trunk_epochs} epochs, and painting "
        f"{settings.people + settings.photos} other people"
    )
    steps = [partial(_trunk, own, recipe, work / "trunk"), partial(_paint, people, settings)]
    # One thread for the network, because a second one does not speed up layers this narrow.
    trunk, _ = results_in_order(_make, [(step,) for step in steps], 2)
    data = read_affect(people)
    students: dict[int, Sequence[Multitask]] = {}
    keep = students.__setitem__
    found = train_and_measure(data, recipe, seeds, report, work, trunk, keep)
    outcome = outcome_of(found)
    section = compare_with_default(people, data, students, report)
    return Outcome(outcome.rows, [*outcome.sections, section])


def _make(step: Callable[[], Trunk | None]) -> Trunk | None:
    return step()


def _paint(people: Path, settings: AffectSet) -> None:
    if not people.exists():
        write_affect_set(people, settings, workers=processors())


def _trunk(own: Path, recipe: MultitaskRecipe, folder: Path) -> Trunk:
    _one_thread()
    return trunk_weights(
        train_trunk(read_affect(own), recipe, folder=folder, resume=has_checkpoint(folder))
    )


def _one_thread() -> None:
    torch.set_num_threads(1)
