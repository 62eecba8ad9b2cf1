"""Writes a data set of synthetic people who show action units, expressions, valence and arousal.

The same seed gives the same files, whatever the number of workers.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_perception.avatar import PortraitError
from face_perception.errors import InputError
from face_perception.faces import load_tracker
from face_perception.learning.data.dataset import Writer
from face_perception.learning.processes import results_in_order
from face_perception.learning.synthesis.actor import Actor
from face_perception.learning.synthesis.emfacs import draw_act
from face_perception.learning.synthesis.synthetic_people import synthetic_person
from face_perception.learning.synthesis.worker_count import useful_workers
from face_perception.types import Image

TASKS = ("EXPR", "AU", "VA")
_TRIES = 5  # numbers that are tried for a person whose face is not found
_HELD_OUT = (0.7, 0.85)  # shares of synthetic people at which validation and test begin


@dataclass(frozen=True, slots=True)
class AffectSet:
    """Settings of a data set.

    It has ``people`` painted people and ``photos`` people made of the sample photograph with other
    proportions, with ``samples`` images of each. With ``incomplete``, each sample has labels of one
    random task (as in the multitask paper), else of all tasks. ``first`` is the number of the first
    person: sets with other numbers have other people.
    """

    people: int = 40
    photos: int = 4
    samples: int = 40
    seed: int = 0
    first: int = 0
    incomplete: bool = True


def write_affect_set(folder: Path, settings: AffectSet, *, workers: int = 1) -> Path:
    """Writes the set into ``folder``, which must not exist, and returns the folder.

    Needs pyarrow (tools/training.txt). Raises DatasetError if the folder exists, InputError for a
    set without people or samples.
    """
    if settings.people + settings.photos < 1 or settings.samples < 1:
        raise InputError("a data set needs at least one person and one sample of each")
    jobs = [
        (settings, number, photo)
        for photo, count in ((False, settings.people), (True, settings.photos))
        for number in range(settings.first, settings.first + count)
    ]
    workers = useful_workers(workers, len(jobs) * settings.samples)
    name = f"synthetic affect, seed {settings.seed}"
    with (
        Writer(folder, name=name, licence="Apache-2.0", made_by="face_perception.synthesis") as out,
        closing(results_in_order(_samples_of, jobs, workers)) as results,
    ):
        for job, made in zip(jobs, results, strict=True):
            _add(out, job, made)
    return folder


Sample = tuple[Image, dict[str, Any]]


def _add(out: Writer, job: tuple[AffectSet, int, bool], samples: list[Sample]) -> None:
    _, number, photo = job
    share = float(np.random.default_rng([53, number]).random())
    # People made of the photograph share one face, so all of them belong to the training split.
    train = photo or share < _HELD_OUT[0]
    split = "train" if train else "validation" if share < _HELD_OUT[1] else "test"
    subject = f"{'photo' if photo else 'drawn'}_{number:04d}"
    for image, labels in samples:
        out.add({"file": image}, subject, split, **labels)


def _samples_of(settings: AffectSet, number: int, photo: bool) -> list[Sample]:
    cv2.setNumThreads(1)
    actor = _actor(number, photo)
    made: list[Sample] = []
    for i in range(settings.samples):
        random = np.random.default_rng([settings.seed, number, int(photo), i])
        moment = draw_act(random)
        patch = actor.patch(moment, random)
        kept = (TASKS[int(random.integers(3))],) if settings.incomplete else TASKS
        units = moment.present() if "AU" in kept else dict.fromkeys(moment.present())
        affect = (moment.valence, moment.arousal) if "VA" in kept else (None, None)
        labels: dict[str, Any] = {f"au_{code}": value for code, value in units.items()}
        labels["expression"] = moment.expression if "EXPR" in kept else None
        labels["valence"], labels["arousal"] = affect
        made.append((patch, labels))
    return made


def _actor(number: int, photo: bool) -> Actor:
    tracker = load_tracker()
    creases = float(np.random.default_rng([31, number]).uniform(0.3, 1.0))
    for attempt in range(_TRIES):
        try:
            picture = synthetic_person(number + 1_000_000 * attempt, photo=photo)
            return Actor(picture, tracker=tracker, creases=creases)
        except PortraitError as error:
            failed = error
    raise InputError(f"person {number}: {failed}")
