"""Trains and evaluates a GEDDnet in a run folder: settings, data set, checkpoints, model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.geddnet import recipe as recipes
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.training_loop import LAST, has_checkpoint, trained_weights


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Trains the network of a recipe file, evaluates it on the split ``test``, returns the model.

    Arguments and errors are those of ``learning.runs.train``. Raises InputError for a recipe with
    ``dilated: false``, which the gaze node cannot run.
    """
    recipe = run_folder.recipe_of_run(recipes.GazeRecipe, file, out, LAST, resume=resume)
    if not recipe.dilated:
        raise InputError(
            "the gaze node cannot use a network with dilated: false: set it to true; "
            "`face-perception claims` compares the two"
        )
    data = run_folder.data_of_new_run(out, data, resume, run_folder.SYNTHETIC_DATA)
    if data is None:
        data = out / run_folder.SYNTHETIC_DATA
        report(f"painting {recipe.people} synthetic people into {data}")
        recipes.write_synthetic_people(data, recipe, workers=max(os.cpu_count() or 1, 1))
    found = dataset.read(data, recipes.NEEDS)
    training = recipes.gaze_faces_of(found.part("train"))
    held_out = recipes.gaze_faces_of(found.part("test"))
    run_folder.save_settings(out, recipe, data)
    # A run that was stopped in its first epoch has no checkpoint yet: it starts from the beginning.
    resume = resume and has_checkpoint(out)
    report(
        f"training on {len(training)} images of {found.name}; progress: tensorboard --logdir {out}"
    )
    network = recipes.train(training, recipe, out=out, resume=resume)
    return recipes.model_build(
        name,
        network,
        recipe,
        held_out,
        trained_on=f"{found.name} ({found.made_by})",
        licence=run_folder.licence_of(out, found),
    )


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``."""
    if not (out / LAST).exists() or not (out / run_folder.SETTINGS).exists():
        raise InputError(f"{out} has no {run_folder.SETTINGS} and {LAST}: give what `train` wrote")
    recipe = recipes.read_gaze_recipe(str(out / run_folder.SETTINGS))
    whole = dataset.read(data or run_folder.data_of(out), recipes.NEEDS)
    held_out = recipes.gaze_faces_of(whole.part(split or "test"))
    weights = trained_weights(out / LAST, recipe.epochs, report)
    subjects = len(weights["bias"]) // 2 if recipe.decomposed else 0
    network = GEDDnet(subjects, dilated=recipe.dilated, width=recipe.width)
    network.load_state_dict(weights)
    return recipes.evaluate(network.eval(), held_out)
