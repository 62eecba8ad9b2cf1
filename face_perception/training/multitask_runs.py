"""A run of the multitask recipe in its folder, as ``runs`` has it for the gaze recipe."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from face_perception import dataset
from face_perception.files import write_whole
from face_perception.inference import Made
from face_perception.networks.multitask import Multitask
from face_perception.synthesis import AffectSet, write_affect_set
from face_perception.training import multitask_recipe as recipes
from face_perception.training.affect_data import read_affect
from face_perception.training.multitask_metrics import evaluate as measure

_SETTINGS, _DATA = "recipe.yaml", "data.txt"
_LAST = "teacher/last.ckpt"  # there from the first epoch on


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> Made:
    """Teacher and students of a recipe file, and the ensemble as a model, measured on ``test``.

    As ``runs.train``, with the same errors.
    """
    if resume and not (out / _SETTINGS).exists():
        raise ValueError(f"{out / _SETTINGS} is missing: no run to resume, train without --resume")
    if not resume and (out / _LAST).exists():
        raise ValueError(f"{out} has an earlier run: --resume, or choose another --out")
    recipe = recipes.read_recipe(out / _SETTINGS if resume else file)
    if resume:
        data = data or Path((out / _DATA).read_text(encoding="utf-8"))
    drawn = data is None
    if data is None:
        data = out / "data"
        if not data.exists():
            report(f"drawing people into {data}")
            out.mkdir(parents=True, exist_ok=True)
            write_affect_set(data, AffectSet(), workers=os.cpu_count() or 1)
    about = dataset.read(data)
    ours, others = read_affect(data, "train"), read_affect(data, "test")
    settings = yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)
    write_whole(out / _SETTINGS, settings.encode())
    write_whole(out / _DATA, str(data.resolve()).encode())
    _, students = recipes.run(ours, recipe, folder=out, report=report, progress=True)
    trained_on = f"{about.name} ({about.made_by})"
    made = recipes.made(name, students, recipe, others, trained_on)
    licence = made.licence if drawn else f"that of the data set {about.name}: {about.licence}"
    return dataclasses.replace(made, licence=licence)


def evaluate(out: Path, data: Path | None, split: str) -> dict[str, float]:
    """Measures a run's ensemble. Raises ValueError where a student is missing."""
    recipe = recipes.read_recipe(out / _SETTINGS)
    data = data or Path((out / _DATA).read_text(encoding="utf-8"))
    students = []
    for k in range(recipe.students):
        file = out / f"student_{k}" / "last.ckpt"
        if not file.exists():
            raise ValueError(f"{file} is missing: train --resume finishes the run")
        state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        student = Multitask(width=recipe.width, shrink=recipe.shrink)
        student.load_state_dict({k.removeprefix("network."): v for k, v in state.items()})
        students.append(student.eval())
    return measure(students, read_affect(data, split))
