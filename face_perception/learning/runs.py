"""A run of a recipe in its folder: settings, drawn data, checkpoints, and its model at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.geddnet import recipe as geddnet_recipe
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.lightning_base import LAST, begun, trained_weights
from face_perception.learning.mouth import runs as mouth_runs
from face_perception.learning.multitask import runs as multitask_runs
from face_perception.learning.recipe import GazeRecipe, read_recipe, recipe_file, task_of

# Task -> the module of its runs; GEDDnet's are here.
_OTHERS: dict[str, Any] = {"multitask": multitask_runs, "mouth": mouth_runs}
TASKS = ("geddnet", *_OTHERS)


def train(
    recipe_name: str,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Trains, evaluates on the part ``test``, and returns the model.

    Without ``data`` people are drawn, into ``out/data``. With ``resume`` the settings and data are
    those of the run. Raises InputError naming what is wrong with recipe, data or folder.
    """
    file = recipe_file(recipe_name)
    task = task_of(out / run_folder.SETTINGS if resume else file)
    if task and task not in TASKS:
        raise InputError(f"{file}: task {task!r} is not known: {', '.join(TASKS)}")
    other = _OTHERS.get(task)
    if other is not None:
        of_other: ModelBuild = other.train(file, data, out, resume=resume, name=name, report=report)
        return of_other
    recipe = run_folder.settings(GazeRecipe, file, out, LAST, resume=resume)
    if not recipe.dilated:
        raise InputError(
            "dilated: false makes no model for the gaze node: set it true; "
            "`face-perception claims` compares the two"
        )
    data = run_folder.data_for(out, data, resume, run_folder.DRAWN)
    if data is None:
        data = out / run_folder.DRAWN
        report(f"drawing {recipe.people} people into {data}")
        geddnet_recipe.write_people(data, recipe, workers=max(os.cpu_count() or 1, 1))
    found = dataset.read(data, geddnet_recipe.NEEDS)
    ours = geddnet_recipe.from_dataset(found.part("train"))
    others = geddnet_recipe.from_dataset(found.part("test"))
    run_folder.keep(out, recipe, data)
    # A run that was stopped in its first epoch has no checkpoint yet: it begins anew.
    going_on = resume and begun(out)
    report(f"training on {len(ours)} images of {found.name}; progress: tensorboard --logdir {out}")
    network = geddnet_recipe.train(ours, recipe, out=out, resume=going_on)
    return geddnet_recipe.made(
        name,
        network,
        recipe,
        others,
        trained_on=f"{found.name} ({found.made_by})",
        licence=run_folder.licence_of(out, found),
    )


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures a run's network, on ``test`` where no ``split`` is told; of a run that has not all
    its epochs that is reported. Raises InputError where there is no run, or no such data.
    """
    other = _OTHERS.get(task_of(out / run_folder.SETTINGS))
    if other is not None:
        found: dict[str, float] = other.evaluate(out, data, split, report)
        return found
    if not (out / LAST).exists() or not (out / run_folder.SETTINGS).exists():
        raise InputError(f"{out} has no {run_folder.SETTINGS} and {LAST}: give what `train` wrote")
    recipe = read_recipe(str(out / run_folder.SETTINGS))
    data = data or run_folder.data_of(out)
    whole = dataset.read(data, geddnet_recipe.NEEDS)
    held = geddnet_recipe.from_dataset(whole.part(split or "test"))
    weights = trained_weights(out / LAST, recipe.epochs, report)
    subjects = len(weights["bias"]) // 2 if recipe.decomposed else 0
    network = GEDDnet(subjects, dilated=recipe.dilated, width=recipe.width)
    network.load_state_dict(weights)
    return geddnet_recipe.evaluate(network.eval(), held)
