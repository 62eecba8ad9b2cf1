"""Trains and evaluates the small model for action units in a run folder."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch

from face_perception.errors import InputError
from face_perception.files import write_atomically
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.small_action_units import recipe as recipes
from face_perception.learning.small_action_units.network import SmallActionUnits
from face_perception.learning.small_action_units.recipe import SmallActionUnitsRecipe
from face_perception.learning.training_loop import LAST, trained_weights

# Names of what ``evaluate`` returns.
FIGURES = ("images", "people", "*_correlation", "*_auc")


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Trains the model of a recipe file, evaluates it on the split ``test``, returns it.

    Arguments and errors are those of ``learning.runs.train``. Raises InputError without ``data``.
    The training has a single step, so that a resumed one starts from the beginning.
    """
    recipe = run_folder.recipe_of_run(SmallActionUnitsRecipe, file, out, LAST, resume=resume)
    data = run_folder.data_of_new_run(out, data, resume)
    if data is None:
        raise InputError(
            "small_action_units cannot make its data: render people and convert them "
            "(docs/training.md), then give --data"
        )
    found = dataset.read(data, recipes.NEEDS)
    training, held_out = (recipes.samples_of(found.part(split)) for split in ("train", "test"))
    run_folder.save_settings(out, recipe, found.folder)
    report(f"fitting to {len(training)} images of {found.name}")
    network = recipes.train(recipe, training)
    _save(network, out / LAST)
    return recipes.model_build(name, network, recipe, held_out, **run_folder.provenance(out, found))


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the model of the run in ``out``; see ``learning.runs.evaluate``."""
    _, held_out = run_folder.read_run(SmallActionUnitsRecipe, out, data, split, recipes.NEEDS)
    network = SmallActionUnits()
    network.load_state_dict(trained_weights(out / LAST, 1, report))
    return recipes.evaluate(network.eval(), recipes.samples_of(held_out))


def _save(network: SmallActionUnits, checkpoint: Path) -> None:
    """Writes the weights as the checkpoint of a run of one epoch."""
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    file = io.BytesIO()
    torch.save({"state_dict": weights, "epoch": 0}, file)
    write_atomically(checkpoint, file.getvalue())
