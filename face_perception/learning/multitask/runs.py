"""A run of the multitask recipe in its folder, as ``runs`` has it for the gaze recipe."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.data.affect_patches import read_affect
from face_perception.learning.multitask import recipe as recipes
from face_perception.learning.multitask.metrics import evaluate_networks as measure
from face_perception.learning.multitask.network import Multitask
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.learning.training_loop import LAST, trained_weights

_FIRST = (f"trunk/{LAST}", f"teacher/{LAST}")  # one is there from the first epoch on


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Teacher and students of a recipe file, and the ensemble as a model, measured on ``test``.

    As ``runs.train``, with the same errors.
    """
    recipe = run_folder.recipe_of_run(recipes.MultitaskRecipe, file, out, *_FIRST, resume=resume)
    data = run_folder.data_of_new_run(out, data, resume, run_folder.DRAWN, recipes.TRUNK_DATA)
    if data is None:
        data = out / run_folder.DRAWN
        report(f"drawing people into {data}")
        out.mkdir(parents=True, exist_ok=True)
        write_affect_set(data, AffectSet(seed=recipe.seed), workers=os.cpu_count() or 1)
    about = dataset.read(data)
    ours, others = read_affect(data, "train"), read_affect(data, "test")
    run_folder.save_settings(out, recipe, data)
    _, students = recipes.train_ensemble(
        ours, recipe, folder=out, resume=resume, report=report, progress=True
    )
    trained_on = f"{about.name} ({about.made_by})"
    made = recipes.model_build(name, students, recipe, others, trained_on)
    return dataclasses.replace(made, licence=run_folder.licence_of(out, about))


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures a run's ensemble. Raises InputError where a student is missing."""
    recipe = recipes.read_multitask_recipe(out / run_folder.SETTINGS)
    data = data or run_folder.data_of(out)
    students = []
    for k in range(recipe.students):
        file = out / f"student_{k}" / LAST
        if not file.exists():
            raise InputError(f"{file} is missing: train --resume finishes the run")
        student = Multitask(width=recipe.width, shrink=recipe.shrink)
        student.load_state_dict(trained_weights(file, recipe.student_epochs, report))
        students.append(student.eval())
    return measure(students, read_affect(data, split or "test"))
