"""Trains and evaluates MuseTalk in a run folder, and writes the files that are imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.musetalk import face_figures, unet
from face_perception.learning.musetalk import recipe as recipes
from face_perception.learning.musetalk.autoencoder import Autoencoder
from face_perception.learning.musetalk.checkpoint import read_autoencoder, with_provenance
from face_perception.learning.musetalk.export import example_images, example_latents, unet_build
from face_perception.learning.musetalk.own_autoencoder import train_autoencoder
from face_perception.learning.musetalk.perceptual_loss import PerceptualNetwork, load_perceptual
from face_perception.learning.musetalk.recipe import Frozen, MuseTalkRecipe
from face_perception.learning.musetalk.speech_states import SpeechEncoder, clip_states
from face_perception.learning.musetalk.state_dicts import read_state_dict
from face_perception.learning.musetalk.syncnet import SyncNet
from face_perception.learning.musetalk.syncnet_runs import data_of_run, load_syncnet
from face_perception.learning.musetalk.talking_videos import (
    TalkingClip,
    TalkingVideos,
    read_videos,
)
from face_perception.learning.musetalk.unet import UNet
from face_perception.learning.training_loop import LAST, has_checkpoint, trained_weights

_Report = Callable[[str], None]

FACES = "faces"  # folder of a run for what is read of the films once
_OWN = "autoencoder"  # folder in which a run trains an autoencoder
WEIGHTS = "weights"  # folder of a run for the files to import
FILES = ("unet.pth", "vae.pth", "whisper.pth")

# Names of what ``evaluate`` returns.
FIGURES = (
    *("l1", "ssim", "lip_distance", "lips_found"),
    *(f"sync_{what}{of}" for of in ("", "_film") for what in ("distance", "confidence", "offset")),
)


def train(
    file: Path,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: _Report,
) -> ModelBuild:
    """Trains the UNet of a recipe file, evaluates it on the split ``test``, returns it as a model.

    Also writes the files that `face-perception import musetalk` takes into ``out/weights``.
    Arguments and errors are those of ``learning.runs.train``.
    """
    recipe = run_folder.recipe_of_run(
        MuseTalkRecipe, file, out, LAST, f"{_OWN}/{LAST}", resume=resume
    )
    start = _start(recipe)
    files = _frozen_files(recipe)
    perceptual = _perceptual(recipe, report)
    syncnet = _syncnet(recipe, report)
    data = data_of_run(out, data, resume, recipe.seed, report)
    out.mkdir(parents=True, exist_ok=True)
    # Before the faces, which may take hours: a run that is stopped there can be resumed.
    run_folder.save_settings(out, recipe, data)
    videos = _videos(recipe, out, data, report)
    clips = training_clips(videos, recipe)
    speech = SpeechEncoder(files["whisper"])
    if files["whisper"] is None:
        report(
            "no whisper: speech features are those of generated weights, which serve to try the "
            "recipe; give whisper-tiny's file for a network that is to speak well"
        )
    states = clip_states(videos, clips, speech, report)
    autoencoder = _autoencoder(recipe, files["vae"], clips, out, resume, report)
    frozen = Frozen(autoencoder, perceptual.network if perceptual else None, syncnet)
    frames = sum(map(len, clips))
    going_on = run_folder.begin_training(
        out, recipe, videos.source, frames, resume=resume, report=report
    )
    network = recipes.train(
        recipe, clips, states, _without_gradients(frozen), start=start, out=out, resume=going_on
    )
    figures = _figures(network, recipe, videos, autoencoder, speech, "test", syncnet, report)
    about = run_folder.provenance(out, videos.source)
    if perceptual is not None:
        about["licence"] += f"; perceptual loss: {perceptual.licence}"
        about["trained_on"] += f", with {perceptual.origin}"
    _write_weights(out / WEIGHTS, network, autoencoder, speech, about)
    report(
        "to use it in talking_face: face-perception import musetalk "
        + " ".join(f"--{Path(f).stem} {out / WEIGHTS / f}" for f in FILES)
    )
    return _build(name, network, recipe, autoencoder, figures, out)


def evaluate(out: Path, data: Path | None, split: str | None, report: _Report) -> dict[str, float]:
    """Measures the network of the run in ``out``; see ``learning.runs.evaluate``.

    The figures are those of ``face_figures.evaluate``.
    """
    recipe = run_folder.trained_recipe(MuseTalkRecipe, out)
    weights = _unet_part(trained_weights(out / LAST, recipe.epochs, report))
    network = recipe.network()
    network.load_state_dict(weights)
    videos = _videos(recipe, out, data or run_folder.data_of(out), report)
    autoencoder = read_autoencoder(out / WEIGHTS / "vae.pth")
    # Not that of the recipe: the run that it names may have been trained again.
    speech = SpeechEncoder(out / WEIGHTS / "whisper.pth")
    syncnet = _syncnet(recipe, report)
    used = split or "test"
    return _figures(network.eval(), recipe, videos, autoencoder, speech, used, syncnet, report)


def training_clips(videos: TalkingVideos, recipe: MuseTalkRecipe) -> tuple[TalkingClip, ...]:
    """Returns the clips to train on: all, or the first frames of the first one.

    Raises InputError if no clip has the frames of a sample.
    """
    clips = videos.part("train", max(recipe.frames, recipe.first_frames))
    if not recipe.first_frames:
        return clips
    first, count = clips[0], recipe.first_frames
    short = dataclasses.replace(
        first, faces=first.faces[:count], points=first.points[:count], sizes=first.sizes[:count]
    )
    return (short,)


def _videos(recipe: MuseTalkRecipe, out: Path, data: Path, report: _Report) -> TalkingVideos:
    cache = Path(recipe.cache).expanduser() if recipe.cache else out / FACES
    return read_videos(data, cache, box=recipe.box, report=report)


def _start(recipe: MuseTalkRecipe) -> dict[str, torch.Tensor] | None:
    """Returns the weights to begin with. Raises InputError if they do not fit the recipe."""
    if not recipe.start:
        return None
    start = Path(recipe.start).expanduser()
    if start.is_dir():
        start = start / WEIGHTS / FILES[0]
    if not start.exists():
        raise InputError(
            f"start: {start} is missing: finish `face-perception train musetalk`, or give a file "
            "of the UNet's weights"
        )
    state = read_state_dict(start)
    wanted = (tuple(map(int, recipe.channels)), recipe.layers)
    if unet.shape_of(state) != wanted:
        channels, layers = unet.shape_of(state)
        raise InputError(
            f"start: {start} has channels {list(channels)} and {layers} layers, and the recipe has "
            f"{list(wanted[0])} and {recipe.layers}: give both the same"
        )
    return {name: value.float().clone() for name, value in state.items()}


def _frozen_files(recipe: MuseTalkRecipe) -> dict[str, Path | None]:
    """Returns the files of the frozen networks; None if the run has to make its own.

    They are those of the recipe, or those of the run that it starts from. Raises InputError if a
    file is missing.
    """
    found: dict[str, Path | None] = {}
    start = Path(recipe.start).expanduser() if recipe.start else None
    for name, given in (("vae", recipe.vae), ("whisper", recipe.whisper)):
        path = Path(given).expanduser() if given else None
        if path is None and start is not None and start.is_dir():
            path = start / WEIGHTS / f"{name}.pth"
        if path is not None and not path.exists():
            raise InputError(f"{name}: {path} is missing: give the file of the published weights")
        found[name] = path
    return found


def _perceptual(recipe: MuseTalkRecipe, report: _Report) -> PerceptualNetwork | None:
    if not recipe.perceptual_weight:
        return None
    if not recipe.perceptual:
        alone = "L1 alone" if recipe.stage == 1 else "without the perceptual loss"
        report(
            f"no VGG-19 (setting perceptual): the loss is {alone}, which makes softer teeth and "
            "lips; give a file of its weights, with a card, or set perceptual_weight to 0"
        )
        return None
    return load_perceptual(Path(recipe.perceptual).expanduser())


def _syncnet(recipe: MuseTalkRecipe, report: _Report) -> SyncNet | None:
    if recipe.syncnet:
        return load_syncnet(Path(recipe.syncnet).expanduser(), report)
    if recipe.stage == 2 and recipe.sync_weight:
        report(
            "no SyncNet (setting syncnet): training without the sync loss; run `face-perception "
            "train syncnet` and give its folder, or set sync_weight to 0"
        )
    return None


def _autoencoder(
    recipe: MuseTalkRecipe,
    file: Path | None,
    clips: Sequence[TalkingClip],
    out: Path,
    resume: bool,
    report: _Report,
) -> Autoencoder:
    """Returns the autoencoder of a file, or one that is trained on the faces of the run."""
    if file is not None:
        found = read_autoencoder(file)
        assert isinstance(found, Autoencoder)
        return found
    report(
        "no vae: training an own, narrow autoencoder on these faces; give sd-vae-ft-mse's file for "
        "sharp pictures"
    )
    folder = out / _OWN
    return train_autoencoder(
        clips,
        tuple(map(int, recipe.vae_channels)),
        seed=recipe.seed,
        epochs=recipe.vae_epochs,
        samples=recipe.samples,
        out=folder,
        resume=resume and has_checkpoint(folder),
    )


def _without_gradients(frozen: Frozen) -> Frozen:
    for network in frozen.networks():
        network.requires_grad_(False)
    return frozen


def _figures(
    network: UNet,
    recipe: MuseTalkRecipe,
    videos: TalkingVideos,
    autoencoder: Autoencoder,
    speech: SpeechEncoder,
    split: str,
    syncnet: SyncNet | None,
    report: _Report,
) -> dict[str, float]:
    clips = videos.part(split, 2)  # the reference is another frame
    report(f"measuring on {len(clips)} clips of {split}")
    states: list[npt.NDArray[Any]] = list(clip_states(videos, clips, speech, report))
    return face_figures.evaluate(
        network,
        autoencoder,
        clips,
        [np.asarray(one, np.float32) for one in states],
        frames=recipe.evaluated_frames,
        margin=recipe.margin,
        syncnet=syncnet,
    )


def _build(
    name: str,
    network: UNet,
    recipe: MuseTalkRecipe,
    autoencoder: Autoencoder,
    figures: dict[str, float],
    out: Path,
) -> ModelBuild:
    """Returns the UNet as a model. Its weights are in a file in ``out`` until it is installed."""
    network.fold_time()
    latents = example_latents(autoencoder, example_images())
    facts: dict[str, object] = {
        "version": "1.5",
        "recipe": {k: _plain(v) for k, v in dataclasses.asdict(recipe).items()},
        "evaluation": {k: v for k, v in figures.items() if v == v},
    }
    file = out / WEIGHTS / FILES[0]
    audio = torch.zeros(1, unet.TOKENS, unet.AUDIO)
    return with_provenance(unet_build(network, latents, audio, file, facts, out, name), file)


def _write_weights(
    folder: Path,
    network: UNet,
    autoencoder: Autoencoder,
    speech: SpeechEncoder,
    about: dict[str, str],
) -> None:
    """Writes the files that `import musetalk` takes: state dicts with the published names."""
    folder.mkdir(exist_ok=True)
    for name, one in zip(FILES, (network, autoencoder, speech.network), strict=True):
        content: dict[str, Any] = {"state_dict": one.state_dict()}
        if one is network:
            content["about"] = about
        part = folder / f"{name}.part"
        torch.save(content, part)
        part.replace(folder / name)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _unet_part(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the UNet's weights of a checkpoint, without those of the discriminators."""
    return {
        name: value
        for name, value in weights.items()
        if name != "done" and not name.startswith("discriminators.")
    }
