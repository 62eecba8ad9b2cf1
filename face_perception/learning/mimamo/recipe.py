"""The recipe of MIMAMO-Net: training, evaluation, and the models of a trained network.

`face-perception train mimamo` runs it; config/training/mimamo.yaml has its settings. Source: Deng
et al., "MIMAMO Net", AAAI 2020, and the released code (Aff-wild-exps).
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning.concordance import ccc
from face_perception.learning.mimamo.appearance_features import PIXELS, AppearanceFeatures
from face_perception.learning.mimamo.clip_data import Clips, Video, Videos, fold_of
from face_perception.learning.mimamo.export import two_stream_build
from face_perception.learning.mimamo.losses import LOSSES
from face_perception.learning.mimamo.network import WIDTH, TwoStream
from face_perception.learning.mimamo.stream_export import stream_builds
from face_perception.learning.training_loop import EpochOrder, fit_module, network_weights
from face_perception.settings import check, setting
from face_perception.types import FloatArray

STREAMS = ("both", "appearance", "motion")
OWN_SPLIT = -1  # value of ``fold`` for the split of the data set
_LABELS = ("valence", "arousal")
_NO_EPOCH = -3.0  # best CCC before the first epoch; the sum of two is at least -2


@dataclass(frozen=True, slots=True)
class MimamoRecipe:
    """Settings of the recipe; config/training/mimamo.yaml explains each.

    Raises InputError for a value that is out of range.
    """

    seed: int = setting(MISSING, minimum=0)
    epochs: int = setting(MISSING, minimum=1)
    batch: int = setting(MISSING, minimum=2)
    rate: float = setting(MISSING, above=0)
    momentum: float = setting(0.9, minimum=0, below=1)
    decay: float = setting(5e-4, minimum=0)
    drop_at: tuple[float, ...] = setting((10.0, 20.0), minimum=1)
    patience: int = setting(5, minimum=1)
    length: int = setting(64, minimum=2, maximum=1000)
    stride: int = setting(32, minimum=1, maximum=1000)
    folds: int = setting(5, minimum=2)
    fold: int = setting(OWN_SPLIT, minimum=OWN_SPLIT)
    loss: str = setting("per_label", choices=tuple(LOSSES))
    recurrence: str = setting("time", choices=("time", "clips"))
    streams: str = setting("both", choices=STREAMS)
    rescale: bool = setting(True)
    one_sided: bool = setting(True)
    appearance: str = setting(PIXELS)
    width: int = setting(WIDTH, minimum=8, maximum=1024)
    dropout: float = setting(1.0, minimum=0, maximum=1.5)
    cache: str = setting("")
    task: str = setting("mimamo", choices=("mimamo",))

    def __post_init__(self) -> None:
        check(self)
        if self.fold >= self.folds:
            raise InputError(
                f"fold is {self.fold}: give 0 to {self.folds - 1}, or {OWN_SPLIT} for the split of "
                "the data set"
            )
        if self.width % 8:
            raise InputError(f"width is {self.width}: give a multiple of 8")

    def network(self, appearance: int) -> TwoStream:
        """Returns a network with weights from the seed, for so many appearance features."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return TwoStream(
                "time" if self.recurrence == "time" else "clips",
                appearance=appearance,
                width=self.width,
                dropout=self.dropout,
            )


def training_part(videos: Videos, recipe: MimamoRecipe) -> tuple[Videos, Videos]:
    """Returns the videos to train on and those to validate on, by the recipe's fold.

    Raises InputError if one of them has no labelled frame.
    """
    if recipe.fold == OWN_SPLIT:
        parts = (
            videos.of(lambda video: video.split == "train"),
            videos.of(lambda video: video.split == "validation"),
        )
    else:
        own = videos.of(lambda video: video.split != "test")
        folds = fold_of(own.videos, recipe.folds)

        def held_out(video: Video) -> bool:
            return folds[video.subject] == recipe.fold

        parts = own.of(lambda video: not held_out(video)), own.of(held_out)
    for part, what in zip(parts, ("train", "validate"), strict=True):
        if len(part.labels()) < 2:
            raise InputError(
                f"there is no video with valence and arousal to {what} on: give other folds or "
                "splits"
            )
    return parts


class MimamoModule(lightning.LightningModule):
    """Trains a network, and keeps that of the epoch with the highest CCC on ``validation``.

    Training ends after ``patience`` epochs without a higher one. ``best`` is the kept network.
    """

    best_ccc: torch.Tensor
    epochs_since: torch.Tensor

    def __init__(self, recipe: MimamoRecipe, training: Videos, validation: Videos) -> None:
        super().__init__()
        self._recipe, self._validation = recipe, validation
        self._clips = Clips(training, recipe.length, recipe.stride, labelled=True)
        if len(self._clips) < 2:
            raise InputError(
                f"{len(self._clips)} clips of {recipe.length} labelled frames are too few to train"
            )
        self._spread = training.labels().std(0)
        features = training.appearance.shape[1]
        self.network, self.best = recipe.network(features), recipe.network(features)
        self.register_buffer("best_ccc", torch.tensor(_NO_EPOCH))
        self.register_buffer("epochs_since", torch.tensor(0))

    def train_dataloader(self) -> DataLoader[Any]:
        recipe = self._recipe
        order = EpochOrder(len(self._clips), recipe.seed, self.current_epoch, self.trainer)
        drop = len(order) % recipe.batch == 1 and len(order) > recipe.batch
        return DataLoader(self._clips, recipe.batch, sampler=order, drop_last=drop)

    def on_train_start(self) -> None:
        # A run that ended early is not continued by --resume.
        self._stop_if_done()

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        *inputs, affect = batch
        found = self.network(*chosen_streams(inputs, self._recipe.streams))
        loss = LOSSES[self._recipe.loss](found, affect)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        scores = evaluate(self.network, self._validation, self._recipe, self._spread)
        self.log("val/ccc", scores["ccc"], prog_bar=True)
        if scores["ccc"] > float(self.best_ccc):
            self.best_ccc.fill_(scores["ccc"])
            self.epochs_since.zero_()
            self.best.load_state_dict(self.network.state_dict())
        else:
            self.epochs_since += 1
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if int(self.epochs_since) >= self._recipe.patience:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        sgd = torch.optim.SGD(
            self.network.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.decay
        )
        steps = [int(epoch) for epoch in recipe.drop_at]
        return [sgd], [torch.optim.lr_scheduler.MultiStepLR(sgd, steps, 0.1)]


def chosen_streams(inputs: list[torch.Tensor], streams: str) -> list[torch.Tensor]:
    """Returns appearance and phase differences, with zeros for the stream that is not used."""
    appearance, *phases = inputs
    if streams == "motion":
        return [torch.zeros_like(appearance), *phases]
    if streams == "appearance":
        return [appearance, *(torch.zeros_like(phase) for phase in phases)]
    return inputs


def train(
    recipe: MimamoRecipe,
    training: Videos,
    validation: Videos,
    *,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> TwoStream:
    """Returns the network of the best epoch, in inference mode.

    Raises what ``fit_module`` does, and InputError if the CCC was NaN after all epochs.
    """
    module = MimamoModule(recipe, training, validation)
    fit_module(module, epochs=recipe.epochs, seed=recipe.seed, out=out, resume=resume, quiet=quiet)
    if float(module.best_ccc) == _NO_EPOCH:
        raise InputError(
            "no epoch had a finite CCC on the validation videos, so there is no trained network: "
            "train again with a lower rate"
        )
    return module.best.cpu().eval()


def trained_network(recipe: MimamoRecipe, checkpoint: Path, appearance: int) -> TwoStream:
    """Returns the network of the best epoch of a run. Raises InputError as ``network_weights``."""
    weights = network_weights(checkpoint)
    network = recipe.network(appearance)
    network.load_state_dict(
        {key.removeprefix("best."): v for key, v in weights.items() if key.startswith("best.")}
    )
    return network.eval()


def predict(network: TwoStream, videos: Videos, recipe: MimamoRecipe) -> list[FloatArray]:
    """Returns valence and arousal [T, 2] of each video, as the network says them.

    A video is cut into clips without overlap, but the last, which counts where clips overlap.
    Restores the network's mode.
    """
    mode = network.training
    network.eval()
    device = next(network.parameters()).device
    found: list[FloatArray] = []
    for video in videos.videos:
        alone = dataclasses.replace(videos, videos=(video,))
        clips = Clips(alone, recipe.length, recipe.length, labelled=False)
        answers = np.zeros((len(video), 2))
        # A recurrence over clips has to see all clips of a video, as released.
        at_once = len(clips) if network.recurrence == "clips" else recipe.batch
        said: list[FloatArray] = []
        for *inputs, _ in DataLoader(clips, at_once):
            used = chosen_streams([x.to(device) for x in inputs], recipe.streams)
            with torch.inference_mode():
                said.extend(network(*used).cpu().numpy())
        for rows, values in zip(clips.rows, said, strict=True):
            answers[rows - video.rows.start] = values
        found.append(answers)
    network.train(mode)
    return found


def evaluate(
    network: TwoStream, videos: Videos, recipe: MimamoRecipe, spread: FloatArray | None = None
) -> dict[str, float]:
    """Returns the CCC of valence and arousal over all labelled frames, and ``ccc``, their sum.

    With ``spread`` [2], the standard deviations of the labels that the network was trained on,
    and the recipe's ``rescale``, predictions are first scaled to it about their mean, as released.
    """
    said = np.concatenate(predict(network, videos, recipe))
    truth = np.concatenate([videos.affect[video.rows] for video in videos.videos])
    known = np.isfinite(truth).all(1)
    if spread is not None and recipe.rescale:
        said = rescaled(said, spread)
    said, truth = said[known], truth[known]
    scores = {
        f"ccc_{name}": float(
            ccc(torch.from_numpy(said[:, k]), torch.from_numpy(truth[:, k]), unbiased=False)
        )
        for k, name in enumerate(_LABELS)
    }
    return {**scores, "ccc": sum(scores.values())}


def rescaled(predictions: FloatArray, spread: FloatArray) -> FloatArray:
    """Returns predictions [N, 2] with the standard deviations ``spread`` [2] and the same means."""
    mean = predictions.mean(0)
    found: FloatArray = mean + (predictions - mean) * spread / np.maximum(predictions.std(0), 1e-8)
    return found


def model_build(
    name: str,
    network: TwoStream,
    recipe: MimamoRecipe,
    appearance: AppearanceFeatures,
    held_out: Videos,
    spread: FloatArray,
    *,
    trained_on: str,
    licence: str,
) -> ModelBuild:
    """Returns the model, with the other models that it needs as its parts.

    Its figures are measured on ``held_out``, without and with rescaling to ``spread``. Raises
    InputError if the network uses one stream only: the node computes both.
    """
    if recipe.streams != "both":
        raise InputError(
            f"a network with streams {recipe.streams} is for comparison and cannot be a model: "
            "train with streams: both"
        )
    parts = []
    used = appearance.model
    if not used:
        used = f"{name}_appearance"
        parts.append(appearance.build(used))
    whole = two_stream_build(
        name,
        network,
        f"trained by face_perception on {trained_on}",
        appearance=used,
        trunk=appearance.compute,
        window=recipe.length,
        licence=licence,
    )
    if network.recurrence == "time":
        *streams, whole = stream_builds(whole, network)
        parts += streams
    evaluation: dict[str, Any] = {
        "on": f"{sum(map(len, held_out.videos))} frames of {len(held_out.videos)} other videos"
    }
    if len(held_out.labels()) > 1:
        plain = evaluate(network, held_out, recipe)
        evaluation |= {key: round(value, 4) for key, value in plain.items()}
        wide = evaluate(network, held_out, recipe, spread)
        evaluation["ccc_rescaled"] = round(wide["ccc"], 4)
    facts = {**whole.facts, "recipe": _plain(recipe), "evaluation": evaluation}
    return dataclasses.replace(whole, facts=facts, parts=tuple(parts))


def _plain(recipe: MimamoRecipe) -> dict[str, Any]:
    """Returns the settings as plain YAML values."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(recipe).items()
    }
