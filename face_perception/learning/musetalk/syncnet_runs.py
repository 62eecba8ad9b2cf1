"""Trains and evaluates SyncNet in a run folder, and loads what was trained or published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.musetalk import syncnet
from face_perception.learning.musetalk import syncnet_recipe as recipes
from face_perception.learning.musetalk.state_dicts import (
    empty_network,
    read_state_dict,
    with_weights,
)
from face_perception.learning.musetalk.syncnet import FRAMES, SyncNet
from face_perception.learning.musetalk.syncnet_recipe import SyncNetRecipe
from face_perception.learning.musetalk.talking_videos import TalkingVideos, read_videos
from face_perception.learning.synthesis.talking_clips import TalkingClips, write_talking_clips
from face_perception.learning.training_loop import LAST, trained_weights

_FACES = "faces"  # folder of a run for what is read of the films once

# Names of what ``evaluate`` returns.
FIGURES = (
    *("accuracy", "agreement_own", "agreement_other"),
    *("sync_distance", "sync_confidence", "sync_offset"),
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

    Arguments and errors are those of ``learning.runs.train``.
    """
    recipe = run_folder.recipe_of_run(SyncNetRecipe, file, out, LAST, resume=resume)
    data = data_of_run(out, data, resume, recipe.seed, report)
    # Before the faces, which may take hours: a run that is stopped there can be resumed.
    run_folder.save_settings(out, recipe, data)
    videos = _videos(recipe, out, data, report)
    clips = videos.part("train", FRAMES)
    frames = sum(map(len, clips))
    resume = run_folder.begin_training(
        out, recipe, videos.source, frames, resume=resume, report=report
    )
    network = recipes.train(recipe, clips, out=out, resume=resume)
    held_out = videos.part("test", FRAMES)
    about = run_folder.provenance(out, videos.source)
    return recipes.model_build(name, network, recipe, held_out, **about)


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``."""
    recipe = run_folder.trained_recipe(SyncNetRecipe, out)
    network = recipe.network()
    network.load_state_dict(trained_weights(out / LAST, recipe.epochs, report))
    videos = _videos(recipe, out, data or run_folder.data_of(out), report)
    return recipes.evaluate(network.eval(), videos.part(split or "test", FRAMES), recipe.seed)


def data_of_run(
    out: Path, data: Path | None, resume: bool, seed: int, report: Callable[[str], None]
) -> Path:
    """Returns the films of a run; draws synthetic people who talk for a new run without ``data``.

    Raises what ``run_folder.data_or_painted`` and ``write_talking_clips`` raise.
    """
    settings = TalkingClips(seed=seed)
    return run_folder.data_or_painted(
        out,
        data,
        resume,
        f"{settings.people} synthetic people who talk",
        lambda folder: write_talking_clips(folder, settings),
        report,
    )


def load_syncnet(path: Path, report: Callable[[str], None] = lambda line: None) -> nn.Module:
    """Returns the SyncNet of a run of the recipe, or of a published file.

    The network is in inference mode and has no gradients. Reports if the run is not finished.
    Raises InputError if there is no network, and ModelError if the file does not fit.
    """
    if path.is_dir():
        recipe = run_folder.trained_recipe(SyncNetRecipe, path)
        network = recipe.network()
        network.load_state_dict(trained_weights(path / LAST, recipe.epochs, report))
        return network.eval().requires_grad_(False)
    if not path.exists():
        raise InputError(
            f"syncnet: {path} is missing: run `face-perception train syncnet` and give its folder, "
            "or give the published latentsync_syncnet.pt"
        )
    state = read_state_dict(path)
    made = empty_network(lambda: SyncNet(syncnet.channels_of(state)))
    return with_weights(made, state, path)


def _videos(
    recipe: SyncNetRecipe, out: Path, data: Path, report: Callable[[str], None]
) -> TalkingVideos:
    cache = Path(recipe.cache).expanduser() if recipe.cache else out / _FACES
    return read_videos(data, cache, box=recipe.box, report=report)
