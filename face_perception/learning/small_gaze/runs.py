"""Trains and evaluates the small gaze network in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.small_gaze import recipe as recipes
from face_perception.learning.small_gaze.network import SmallGaze
from face_perception.learning.small_gaze.recipe import SmallGazeRecipe
from face_perception.learning.training_loop import LAST, trained_weights

# Names of what ``evaluate`` returns.
FIGURES = (
    *("images", "people", "error_deg", "error_of_geometric_deg", "error_of_mean_deg", "sigma"),
    *("gain_pitch", "gain_yaw", "gain_pitch_of_geometric", "gain_yaw_of_geometric"),
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
    """Trains the network of a recipe file, evaluates it on the split ``test``, returns the model.

    Arguments and errors are those of ``learning.runs.train``. Raises InputError without ``data``.
    """
    recipe = run_folder.recipe_of_run(SmallGazeRecipe, file, out, LAST, resume=resume)
    prior = recipe.read_prior()  # before the training, which takes minutes
    data = run_folder.data_of_new_run(out, data, resume)
    if data is None:
        raise InputError(
            "small_gaze cannot make its data: render people and convert them "
            "(docs/training.md), then give --data"
        )
    found = dataset.read(data, recipes.NEEDS)
    training, validation, held_out = (
        recipes.samples_of(found.part(split)) for split in dataset.SPLITS
    )
    resume = run_folder.begin_training(
        out, recipe, found, len(training), resume=resume, report=report
    )
    network = recipes.train(recipe, training, validation=validation, out=out, resume=resume)
    return recipes.model_build(
        name, network, recipe, held_out, **run_folder.provenance(out, found), prior=prior
    )


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``."""
    recipe, held_out = run_folder.read_run(SmallGazeRecipe, out, data, split, recipes.NEEDS)
    network = SmallGaze()
    network.load_state_dict(trained_weights(out / LAST, recipe.epochs, report))
    return recipes.evaluate(network.eval(), recipes.samples_of(held_out))
