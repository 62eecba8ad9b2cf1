"""The recipe of the mouth: speech that eSpeak NG says -> a network that says what a mouth does.

`python -m face_perception.training.mouth` runs it; everything is in ``config/training/mouth.yaml``.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler, TensorDataset

from face_perception import paths
from face_perception.inference import Made, Port
from face_perception.networks.mouth import MELS, WEIGHTS, MouthNetwork, mouth_onnx, settled
from face_perception.synthesis import speak
from face_perception.training import mouth_data
from face_perception.training.mouth_data import Arrays

_CHANNELS = (1.0, 0.7, 0.7, 2.0, 0.7, 1.0)  # what each weight's error counts
_CLOSED = 4.0  # how much more a moment counts in which the lips are to be closed
_OPENING = 2.0  # what the error of the lips' distance counts
_MOST_GAIN, _MOST_TILT = 0.15, 0.08  # of features: 12 dB and 6 dB


@dataclass(frozen=True, slots=True)
class MouthRecipe:
    """All that a training depends on; see the YAML file for what each means."""

    seed: int
    clips: int
    seconds: float
    delay_frames: int
    width: int
    hidden: int
    layers: int
    batch_size: int
    epochs: int
    learning_rate: float
    workers: int = 1


def read_recipe(path: Path) -> MouthRecipe:
    """Raises ValueError naming the file and the field that is missing, unknown or wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"recipe {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"recipe {path} must be a mapping of names to values")
    known = {field.name: field for field in fields(MouthRecipe)}
    for name in content:
        if name not in known:
            raise ValueError(f"recipe {path}: {name} is not known: use {', '.join(known)}")
    for name, field in known.items():
        if name not in content:
            if name == "workers":
                continue
            raise ValueError(f"recipe {path}: {name} is missing")
        value, whole = content[name], field.type == "int"
        least = 0 if name in ("seed", "delay_frames") else 1 if whole else 1e-9
        right = isinstance(value, int) if whole else isinstance(value, int | float)
        if isinstance(value, bool) or not right or value < least:
            kind = f"a whole number from {least} on" if whole else "a number over 0"
            raise ValueError(f"recipe {path}: {name} must be {kind}, not {value!r}")
    return MouthRecipe(**content)


def opening(weights: torch.Tensor) -> torch.Tensor:
    """About how far the lips are apart, of [..., 6]: 1 is the jaw down and nothing else."""
    jaw, _, rounded, press, teeth, tuck = weights.unbind(-1)
    return (jaw + 0.35 * teeth + 0.2 * tuck) * (1 - press) + 0.15 * rounded


class MouthModule(lightning.LightningModule):
    """The network and how it learns. Randomness follows from the seed and the step alone, so a
    training that was interrupted goes on as if it had not been.
    """

    def __init__(self, recipe: MouthRecipe, steps: int) -> None:
        super().__init__()
        self.recipe, self._steps = recipe, steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = MouthNetwork(recipe.width, recipe.hidden, recipe.layers)

    def loss(self, features: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Of [B, T, 80] and the weights [B, T, 6] at the same moments."""
        logits, _ = self.network.logits(features, self.network.start(len(features)))
        delay = self.recipe.delay_frames
        logits, truth = logits[:, delay:], truth[:, : truth.shape[1] - delay]
        counts = 1 + (_CLOSED - 1) * truth[..., 3]
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        weights = each @ each.new_tensor(_CHANNELS)
        lips = (opening(settled(logits)) - opening(truth)).abs()
        return (counts * (weights + _OPENING * lips)).mean()

    def training_step(self, batch: Sequence[torch.Tensor], _: int) -> torch.Tensor:
        features, truth = batch
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.global_step)
        loss = self.loss(_varied(features, generator), truth)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[torch.Tensor], _: int) -> None:
        self.log("val/loss", self.loss(*batch), prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.parameters(), self.recipe.learning_rate, weight_decay=1e-4
        )
        warm = max(1, self._steps // 20)

        def rate(step: int) -> float:
            left = 0.5 + 0.5 * math.cos(math.pi * min(step / self._steps, 1.0))
            return min((step + 1) / warm, 1.0) * max(left, 0.01)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _varied(features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Another level and another slope of the spectrum for each clip."""
    gain = (2 * torch.rand(len(features), 1, 1, generator=generator) - 1) * _MOST_GAIN
    tilt = (2 * torch.rand(len(features), 1, 1, generator=generator) - 1) * _MOST_TILT
    slope = torch.linspace(-1, 1, features.shape[-1])
    return (features + (gain + tilt * slope).to(features.device)).clamp_min(-1.0)


class _Order(Sampler[int]):
    """A new order each epoch, which follows from the seed and the epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self.epoch))
        return iter(random.permutation(self._count).tolist())


def train(
    recipe: MouthRecipe,
    data: Arrays,
    folder: Path,
    *,
    judged: Arrays | None = None,
    resume: bool = True,
    stop_after: int | None = None,
    quiet: bool = False,
) -> MouthNetwork:
    """Trains on ``data`` and returns the network, in inference mode.

    A checkpoint is left in ``folder`` after every epoch, and with ``resume`` the last one is gone
    on from; ``stop_after`` ends early, after so many epochs in all. ``judged`` is what the loss is
    told of besides, in TensorBoard's files in ``folder``.
    """
    batches = math.ceil(len(data.features) / recipe.batch_size)
    module = MouthModule(recipe, batches * recipe.epochs)
    checkpoint = folder / "last.ckpt"
    trainer = lightning.Trainer(
        max_epochs=min(recipe.epochs, stop_after or recipe.epochs),
        gradient_clip_val=1.0,
        callbacks=[ModelCheckpoint(folder, filename="last", enable_version_counter=False)],
        logger=False if quiet else TensorBoardLogger(folder, "log"),
        enable_progress_bar=not quiet,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    trainer.fit(
        module,
        DataLoader(
            _dataset(data), recipe.batch_size, sampler=_Order(len(data.features), recipe.seed)
        ),
        None if judged is None else DataLoader(_dataset(judged), recipe.batch_size),
        ckpt_path=checkpoint if resume and checkpoint.exists() else None,
        weights_only=False,
    )
    return module.network.cpu().eval()


def _dataset(data: Arrays) -> TensorDataset:
    return TensorDataset(torch.from_numpy(data.features), torch.from_numpy(data.weights))


def made(
    network: MouthNetwork, recipe: MouthRecipe, captured: Arrays, evaluation: Mapping[str, Any]
) -> Made:
    """For ``inference.install``: the network, how it was trained and what it reached."""
    state = (None, recipe.layers, recipe.hidden)
    features = captured.features[:4, :100]
    return Made(
        name="mouth",
        onnx=mouth_onnx(network),
        task="speech to the weights of a mouth, frame by frame",
        licence="Apache-2.0",
        origin=(
            "trained for this project by `python -m face_perception.training.mouth`, from random "
            "weights, on sentences of our own that eSpeak NG said (a GPL-3.0 tool; what it says is "
            "no work of its authors), its phonemes through a viseme table of our own; no recording "
            "of a person was used"
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
                "after the frame before, first zeros",
                most=(1, recipe.layers, recipe.hidden),
            ),
        },
        outputs={
            "weights": Port(
                (None, None, WEIGHTS),
                "float32",
                "jaw, wide, round, press, teeth, tuck, 0 to 1, of delay_frames ago",
                tolerance=0.05,
            ),
            "next_state": Port(state, "float32", "after the last frame", tolerance=0.1),
        },
        captured={
            "features": features,
            "state": np.zeros((len(features), recipe.layers, recipe.hidden), np.float32),
        },
        facts={
            "delay_frames": recipe.delay_frames,
            "recipe": asdict(recipe),
            "evaluation": dict(evaluation),
        },
    )


def make_data(recipe: MouthRecipe) -> tuple[Arrays, Arrays]:
    """What to train on, and clips of voices and languages held out. Raises SpeechError."""
    asked = mouth_data.requests(recipe.clips, recipe.seed)
    judged = mouth_data.held_out(48, recipe.seed + 1, languages=True)
    found = []
    for i, one in enumerate((asked, judged)):
        spoken = speak(one, workers=recipe.workers)
        found.append(
            mouth_data.arrays(mouth_data.clips(spoken, recipe.seconds, recipe.seed + 10 + i))
        )
    return found[0], found[1]


def main(argv: Sequence[str] | None = None) -> int:
    from face_perception.inference import install
    from face_perception.training import mouth_evaluation

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=None, help="default: the package's own")
    parser.add_argument("--out", type=Path, default=Path("mouth"), help="checkpoints, model, card")
    parser.add_argument("recordings", nargs="*", type=Path, help="wav files of real speech")
    options = parser.parse_args(argv)
    recipe = read_recipe(options.recipe or paths.resource("config/training/mouth.yaml"))
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    data, judged = make_data(recipe)
    network = train(recipe, data, options.out, judged=judged)
    card = install(made(network, recipe, judged, {}), options.out)
    found = mouth_evaluation.evaluate(options.out / "mouth.yaml", options.recordings)
    install(made(network, recipe, judged, found["trained"]), options.out)
    print(mouth_evaluation.table(found))
    print(f"{card.path} ({card.path.stat().st_size / 1e3:.0f} kB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
