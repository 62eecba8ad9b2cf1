"""Trains and evaluates a GEDDnet in a run folder: settings, data set, checkpoints, model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.geddnet import recipe as recipes
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.machine_share import processors
from face_perception.learning.training_loop import LAST, trained_weights

# Names of what ``evaluate`` returns.
FIGURES = ("images", "people", "error_deg", "error_of_mean_deg", "error_calibrated_deg")


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
    data = run_folder.data_or_painted(
        out,
        data,
        resume,
        f"{recipe.people} synthetic people",
        partial(recipes.write_synthetic_people, recipe=recipe, workers=processors()),
        report,
    )
    found = dataset.read(data, recipes.NEEDS)
    training = recipes.gaze_faces_of(found.part("train"))
    held_out = recipes.gaze_faces_of(found.part("test"))
    resume = run_folder.begin_training(
        out, recipe, found, len(training), resume=resume, report=report
    )
    network = recipes.train(training, recipe, out=out, resume=resume)
    return recipes.model_build(name, network, recipe, held_out, **run_folder.provenance(out, found))


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``."""
    recipe, held_out = run_folder.read_run(recipes.GazeRecipe, out, data, split, recipes.NEEDS)
    weights = trained_weights(out / LAST, recipe.epochs, report)
    subjects = len(weights["bias"]) // 2 if recipe.decomposed else 0
    network = GEDDnet(subjects, dilated=recipe.dilated, width=recipe.width)
    network.load_state_dict(weights)
    return recipes.evaluate(network.eval(), recipes.gaze_faces_of(held_out))
