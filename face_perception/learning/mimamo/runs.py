"""Trains and evaluates MIMAMO-Net in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.data import dataset
from face_perception.learning.mimamo import recipe as recipes
from face_perception.learning.mimamo.appearance_features import (
    AppearanceFeatures,
    load_appearance_features,
)
from face_perception.learning.mimamo.clip_data import NEEDS, Videos, read_videos
from face_perception.learning.mimamo.recipe import MimamoRecipe
from face_perception.learning.synthesis.motion_clips import MotionClips, write_motion_clips
from face_perception.learning.training_loop import LAST

_FEATURES = "features"  # folder of a run for what the network sees of each frame

# Names of what ``evaluate`` returns.
FIGURES = ("ccc", "ccc_valence", "ccc_arousal", "ccc_rescaled")


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
    recipe = run_folder.recipe_of_run(MimamoRecipe, file, out, LAST, resume=resume)
    clips = MotionClips(seed=recipe.seed)
    data = run_folder.data_or_painted(
        out, data, resume, "synthetic clips", partial(write_motion_clips, settings=clips), report
    )
    found = dataset.read(data, NEEDS)
    # Before the features, which may take hours: a run that is stopped there can be resumed.
    run_folder.save_settings(out, recipe, data)
    appearance, videos = _videos(recipe, out, data, report)
    training, validation = recipes.training_part(videos, recipe)
    frames = sum(map(len, training.videos))
    resume = run_folder.begin_training(out, recipe, found, frames, resume=resume, report=report)
    network = recipes.train(recipe, training, validation, out=out, resume=resume)
    return recipes.model_build(
        name,
        network,
        recipe,
        appearance,
        videos.of(lambda video: video.split == "test"),
        training.labels().std(0),
        **run_folder.provenance(out, found),
    )


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``.

    ``ccc_rescaled`` is the sum of both CCC after rescaling to the labels of the training videos.
    """
    recipe, part = run_folder.read_run(MimamoRecipe, out, data, split, NEEDS)
    own = run_folder.data_of(out)
    appearance, videos = _videos(recipe, out, own, report)
    network = recipes.trained_network(recipe, out / LAST, appearance.features)
    spread = recipes.training_part(videos, recipe)[0].labels().std(0)
    if part.folder.resolve() != own.resolve():
        _, videos = _videos(recipe, out, part.folder, report)
    held_out = videos.of(lambda video: video.split == (split or "test"))
    if len(held_out.labels()) < 2:
        raise InputError(f"{part.folder} has no labelled frames in split {split or 'test'}")
    found = recipes.evaluate(network, held_out, recipe)
    wide = recipes.evaluate(network, held_out, recipe, spread)
    return {**found, "ccc_rescaled": wide["ccc"]}


def _videos(
    recipe: MimamoRecipe, out: Path, data: Path, report: Callable[[str], None]
) -> tuple[AppearanceFeatures, Videos]:
    appearance = load_appearance_features(recipe.appearance)
    cache = Path(recipe.cache).expanduser() if recipe.cache else out / _FEATURES
    videos = read_videos(data, cache, appearance, one_sided=recipe.one_sided, report=report)
    return appearance, videos
