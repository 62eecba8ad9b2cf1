"""Trains and evaluates a mouth network in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from face_perception.errors import InputError
from face_perception.inference import ModelBuild, install_model
from face_perception.learning.mouth import data as mouth_data
from face_perception.learning.mouth import evaluation as mouth_evaluation
from face_perception.learning.mouth import recipe as mouth
from face_perception.learning.mouth.data import MouthArrays
from face_perception.learning.mouth.network import MouthNetwork
from face_perception.learning.mouth.recipe import MouthRecipe
from face_perception.learning.recipe import read_settings
from face_perception.learning.run_folder import SETTINGS, recipe_of_run, save_settings
from face_perception.learning.training_loop import LAST, has_checkpoint, trained_weights

# Names of what ``evaluate`` returns.
FIGURES = ("*, *",)  # the place and what is measured there


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Trains the network of a recipe file and returns it as a model.

    It is evaluated on held-out voices and languages. Arguments and errors are those of
    ``learning.runs.train``. Raises InputError if ``data`` is given, SpeechError if eSpeak NG is
    missing.
    """
    if data is not None:
        raise InputError("the mouth is trained on speech of eSpeak NG: train it without --data")
    recipe = recipe_of_run(MouthRecipe, file, out, LAST, resume=resume)
    report(f"making {recipe.clips} clips of speech")
    training, validation = mouth.make_training_data(recipe)
    save_settings(out, recipe)
    report(f"training; progress: tensorboard --logdir {out}")
    # More threads slow down a network as small as this.
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, threads))
    resume = resume and has_checkpoint(out)
    network = mouth.train(recipe, training, out, validation=validation, resume=resume)
    torch.set_num_threads(threads)
    report("evaluating on held-out voices and languages")
    return mouth.model_build(
        network, recipe, validation, _evaluation(network, recipe, validation, out, []), name
    )


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Returns figures on held-out voices and languages, and on each recording (wav) in ``data``.

    Raises InputError if there is no run, a ``split`` is given, or ``data`` has no recording.
    """
    if split:
        raise InputError(
            "a mouth has no splits, so leave out --split: it is measured on held-out voices and "
            "languages, and on the recordings in --data"
        )
    if not (out / LAST).exists():
        raise InputError(f"{out / LAST} is missing: give what `train` wrote")
    recordings = sorted(data.glob("*.wav")) if data is not None else []
    if data is not None and not recordings:
        raise InputError(f"{data} has no *.wav: give a folder with recordings of speech")
    recipe = read_settings(MouthRecipe, out / SETTINGS)
    network = MouthNetwork(recipe.width, recipe.hidden, recipe.layers)
    network.load_state_dict(trained_weights(out / LAST, recipe.epochs, report))
    few = mouth.make_arrays(
        mouth_data.held_out_requests(4, recipe.seed + 1, languages=True), recipe, 1
    )
    return _evaluation(network.eval(), recipe, few, out, recordings)


def _evaluation(
    network: MouthNetwork,
    recipe: MouthRecipe,
    captured: MouthArrays,
    out: Path,
    recordings: list[Path],
) -> dict[str, float]:
    """Installs the network as a model in ``out``, measures it, and returns figures by name."""
    install_model(mouth.model_build(network, recipe, captured, {}), out)
    found = mouth_evaluation.evaluate(out / "mouth.yaml", recordings)["trained"]
    return {f"{place}, {figure}": v for place, of in found.items() for figure, v in of.items()}
