"""Trains and evaluates a Dilated-Net in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.dilated_net import recipe as recipes
from face_perception.learning.dilated_net.recipe import DilatedNetRecipe
from face_perception.learning.geddnet import runs as geddnet_runs
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.machine_share import processors
from face_perception.learning.training_loop import LAST, trained_weights

# Names of what ``evaluate`` returns.
FIGURES = (
    *geddnet_runs.FIGURES,
    *("accuracy", "balanced_accuracy", "share_of_contact"),
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
    """Trains the network of a recipe file, evaluates it on held-out people, returns the model.

    Arguments and errors are those of ``learning.runs.train``.
    """
    recipe = run_folder.recipe_of_run(DilatedNetRecipe, file, out, LAST, resume=resume)
    data = run_folder.data_or_painted(
        out,
        data,
        resume,
        f"{recipe.people} synthetic people",
        partial(recipes.write_synthetic_people, recipe=recipe, workers=processors()),
        report,
    )
    found = dataset.read(data, recipes.NEEDS[recipe.target])
    training, held_out = recipes.parts_of(found, recipe)
    resume = run_folder.begin_training(
        out, recipe, found, len(training), resume=resume, report=report
    )
    network = recipes.train(training, recipe, out=out, resume=resume)
    return recipes.model_build(name, network, recipe, held_out, **run_folder.provenance(out, found))


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``.

    Without ``data`` and ``split``, it is measured on the person that the recipe holds out, if any.
    """
    recipe = run_folder.trained_recipe(DilatedNetRecipe, out)
    found = dataset.read(data or run_folder.data_of(out), recipes.NEEDS[recipe.target])
    if recipe.hold_out and data is None and split is None:
        _, held_out = recipes.parts_of(found, recipe)
    else:
        held_out = recipes.samples_of(found.part(split or "test"), recipe.target)
    weights = trained_weights(out / LAST, recipe.epochs, report)
    network = GEDDnet(0, dilated=recipe.dilated, face=False, width=recipe.width)
    network.load_state_dict(weights)
    return recipes.evaluate(network.eval(), held_out, recipe)
