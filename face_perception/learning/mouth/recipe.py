"""The mouth recipe: trains a network that moves a mouth, on speech of eSpeak NG.

`face-perception train mouth` runs it; config/training/mouth.yaml has its settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from face_perception.inference import ModelBuild, Port
from face_perception.learning.machine_share import processors
from face_perception.learning.mouth import data as mouth_data
from face_perception.learning.mouth.data import MouthArrays
from face_perception.learning.mouth.network import (
    MELS,
    WEIGHTS,
    MouthNetwork,
    mouth_onnx,
    stretched_sigmoid,
)
from face_perception.learning.synthesis.espeak import Request, speak
from face_perception.learning.training_loop import EpochOrder, finite, fit_module
from face_perception.settings import check, setting
from face_perception.speech import lip_distance

VALIDATION_CLIPS = 48  # number of clips for the validation loss
_CHANNELS = (1.0, 0.7, 0.7, 2.0, 0.7, 1.0)  # weight of each mouth weight's error in the loss
_CLOSED = 4.0  # factor on the loss of moments with closed lips
_OPENING = 2.0  # weight of the error of the lips' distance in the loss
_MOST_GAIN, _MOST_TILT = 0.15, 0.08  # augmentation of features: 12 dB and 6 dB


@dataclass(frozen=True, slots=True)
class MouthRecipe:
    """Settings of the recipe; config/training/mouth.yaml explains each.

    Raises InputError for a value that is out of range.
    """

    seed: int = setting(MISSING, minimum=0)
    clips: int = setting(MISSING, minimum=1)
    seconds: float = setting(MISSING, above=0)
    delay_frames: int = setting(MISSING, minimum=0)
    width: int = setting(MISSING, minimum=1)
    hidden: int = setting(MISSING, minimum=1)
    layers: int = setting(MISSING, minimum=1)
    batch_size: int = setting(MISSING, minimum=1)
    epochs: int = setting(MISSING, minimum=1)
    learning_rate: float = setting(MISSING, above=0)
    workers: int = setting(1, minimum=1)
    task: str = setting("mouth", choices=("mouth",))

    def __post_init__(self) -> None:
        check(self)


class MouthModule(lightning.LightningModule):
    """Trains a network on ``data`` and logs its loss on ``validation``, if given."""

    def __init__(
        self, recipe: MouthRecipe, data: MouthArrays, validation: MouthArrays | None = None
    ) -> None:
        super().__init__()
        self.recipe, self._data, self._validation = recipe, data, validation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = MouthNetwork(recipe.width, recipe.hidden, recipe.layers)

    def train_dataloader(self) -> DataLoader[Any]:
        rows = _dataset(self._data)
        order = EpochOrder(len(rows), self.recipe.seed, self.current_epoch, self.trainer)
        return DataLoader(rows, self.recipe.batch_size, sampler=order)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        validation = self._validation
        return (
            [] if validation is None else [DataLoader(_dataset(validation), self.recipe.batch_size)]
        )

    def loss(self, features: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Returns the loss of features [B, T, 80], given the true weights [B, T, 6]."""
        logits, _ = self.network.logits(features, self.network.start(len(features)))
        delay = self.recipe.delay_frames
        logits, truth = logits[:, delay:], truth[:, : truth.shape[1] - delay]
        counts = 1 + (_CLOSED - 1) * truth[..., 3]
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        weights = each @ each.new_tensor(_CHANNELS)
        lips = (lip_distance(stretched_sigmoid(logits)) - lip_distance(truth)).abs()
        return (counts * (weights + _OPENING * lips)).mean()

    def training_step(self, batch: Sequence[torch.Tensor], _: int) -> torch.Tensor:
        features, truth = batch
        loss = self.loss(_augmented(features), truth)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[torch.Tensor], _: int) -> None:
        self.log("val/loss", self.loss(*batch), prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.parameters(), self.recipe.learning_rate, weight_decay=1e-4
        )
        steps = self.recipe.epochs * len(self.train_dataloader())
        warm = max(1, steps // 20)

        def rate(step: int) -> float:
            left = 0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0))
            return min((step + 1) / warm, 1.0) * max(left, 0.01)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _augmented(features: torch.Tensor) -> torch.Tensor:
    """Returns the features with a random level and spectral slope for each clip."""
    gain = (2 * torch.rand(len(features), 1, 1) - 1) * _MOST_GAIN
    tilt = (2 * torch.rand(len(features), 1, 1) - 1) * _MOST_TILT
    slope = torch.linspace(-1, 1, features.shape[-1])
    return (features + (gain + tilt * slope).to(features.device)).clamp_min(-1.0)


def train(
    recipe: MouthRecipe,
    data: MouthArrays,
    folder: Path | None = None,
    *,
    validation: MouthArrays | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    quiet: bool = False,
) -> MouthNetwork:
    """Trains on ``data`` and returns the network, in inference mode.

    ``folder``, ``resume``, ``quiet`` and errors are those of ``training_loop.fit_module``.
    ``stop_after`` is a number of epochs after which training stops early.
    """
    module = MouthModule(recipe, data, validation)
    fit_module(
        module,
        epochs=min(recipe.epochs, stop_after or recipe.epochs),
        seed=recipe.seed,
        out=folder,
        resume=resume,
        quiet=quiet,
        most_gradient=1.0,
    )
    return finite(module.network.cpu().eval())


def _dataset(data: MouthArrays) -> TensorDataset:
    return TensorDataset(torch.from_numpy(data.features), torch.from_numpy(data.weights))


def model_build(
    network: MouthNetwork,
    recipe: MouthRecipe,
    reference_inputs: MouthArrays,
    evaluation: Mapping[str, Any],
    name: str = "mouth",
) -> ModelBuild:
    """Returns the network as a model, with its recipe and its evaluation."""
    state = (None, recipe.layers, recipe.hidden)
    features = reference_inputs.features[:4, :100]
    return ModelBuild(
        name=name,
        onnx=mouth_onnx(network),
        task="speech to the weights of a mouth, frame by frame",
        licence="Apache-2.0",
        origin=(
            "trained for this project by `face-perception train mouth`, from random "
            "weights, on sentences of this project spoken by eSpeak NG (a GPL-3.0 tool, whose "
            "licence does not cover the speech that it makes), with this project's viseme table; "
            "no recording of a person was used"
        ),
        inputs={
            "features": Port(
                (None, None, MELS),
                "float32",
                "log10 of the power of mel bands every 10 ms, (x + 4) / 4: speech.mouth_features",
                most=(1, 200, MELS),
            ),
            "state": Port(
                state,
                "float32",
                "state after the previous frame; zeros at the start",
                most=(1, recipe.layers, recipe.hidden),
            ),
        },
        outputs={
            "weights": Port(
                (None, None, WEIGHTS),
                "float32",
                "jaw, wide, round, press, teeth, tuck, 0 to 1, delayed by delay_frames",
                tolerance=0.05,
            ),
            "next_state": Port(state, "float32", "state after the last frame", tolerance=0.1),
        },
        reference_inputs={
            "features": features,
            "state": np.zeros((len(features), recipe.layers, recipe.hidden), np.float32),
        },
        facts={
            "delay_frames": recipe.delay_frames,
            "recipe": asdict(recipe),
            "evaluation": dict(evaluation),
        },
    )


def make_training_data(recipe: MouthRecipe) -> tuple[MouthArrays, MouthArrays]:
    """Returns training clips, and clips of held-out voices and languages.

    Raises SpeechError if eSpeak NG is missing.
    """
    asked = mouth_data.random_requests(recipe.clips, recipe.seed)
    validation = mouth_data.held_out_requests(VALIDATION_CLIPS, recipe.seed + 1, languages=True)
    return make_arrays(asked, recipe, 0), make_arrays(validation, recipe, 1)


def make_arrays(asked: Sequence[Request], recipe: MouthRecipe, number: int) -> MouthArrays:
    """Returns clips of the requests ``asked``; ``number`` selects other rooms and noises.

    Raises SpeechError if eSpeak NG is missing.
    """
    spoken = speak(asked, workers=min(recipe.workers, processors()))
    return mouth_data.to_arrays(
        mouth_data.make_clips(spoken, recipe.seconds, recipe.seed + 10 + number)
    )
