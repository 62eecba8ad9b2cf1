"""Trains and evaluates multitask networks in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.machine_share import processors
from face_perception.learning.multitask import recipe as recipes
from face_perception.learning.multitask.affect_data import read_affect
from face_perception.learning.multitask.metrics import evaluate_networks as measure
from face_perception.learning.multitask.network import Multitask
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.learning.training_loop import LAST, trained_weights

_FIRST = (f"trunk/{LAST}", f"teacher/{LAST}")  # a run has one of them after its first epoch

# Names of what ``evaluate`` returns.
FIGURES = (
    *("AU", "AU F1", "AU accuracy"),
    *("EXPR", "EXPR F1", "EXPR accuracy"),
    *("VA", "CCC valence", "CCC arousal"),
)


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Trains teacher and students of a recipe file and returns the ensemble as a model.

    The model is measured on the split ``test``. Arguments and errors are those of
    ``learning.runs.train``.
    """
    recipe = run_folder.recipe_of_run(recipes.MultitaskRecipe, file, out, *_FIRST, resume=resume)
    settings = AffectSet(seed=recipe.seed)
    data = run_folder.data_or_painted(
        out,
        data,
        resume,
        "synthetic people",
        partial(write_affect_set, settings=settings, workers=processors()),
        report,
        recipes.TRUNK_DATA,
    )
    about = dataset.read(data)
    training, held_out = read_affect(data, "train"), read_affect(data, "test")
    run_folder.save_settings(out, recipe, data)
    _, students = recipes.train_ensemble(
        training, recipe, folder=out, resume=resume, report=report, progress=True
    )
    return recipes.model_build(
        name, students, recipe, held_out, **run_folder.provenance(out, about)
    )


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures a run's ensemble; see ``learning.runs.evaluate``.

    Raises InputError if a student has not been trained yet.
    """
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
