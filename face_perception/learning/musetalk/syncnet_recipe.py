"""The recipe of SyncNet: learns whether lips and sound belong together, without any download.

`face-perception train syncnet` runs it; config/training/syncnet.yaml explains its settings. Source:
Li et al., "LatentSync", 2024.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from face_perception.inference import ModelBuild, Port
from face_perception.learning.musetalk import losses, syncnet
from face_perception.learning.musetalk.lip_sync_figures import lip_sync_figures
from face_perception.learning.musetalk.syncnet import SyncNet
from face_perception.learning.musetalk.talking_videos import BOXES, TalkingClip
from face_perception.learning.musetalk.training_samples import SyncSamples, lips_of, spectrogram
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.training_loop import EpochOrder, finite, fit_module
from face_perception.settings import check, setting

_PAIRS = 64  # of the evaluation


@dataclass(frozen=True, slots=True)
class SyncNetRecipe:
    """Settings of the recipe; config/training/syncnet.yaml explains each.

    Raises InputError for a value that is out of range.
    """

    seed: int = setting(MISSING, minimum=0)
    epochs: int = setting(MISSING, minimum=1)
    samples: int = setting(MISSING, minimum=1)
    batch: int = setting(MISSING, minimum=1)
    rate: float = setting(MISSING, above=0)
    decay: float = setting(0.0, minimum=0)
    most_gradient: float = setting(1.0, above=0)
    width: float = setting(1.0, above=0, maximum=1)
    box: str = setting(BOXES[0], choices=BOXES)
    cache: str = setting("")
    task: str = setting("syncnet", choices=("syncnet",))

    def __post_init__(self) -> None:
        check(self)

    def network(self) -> SyncNet:
        """Returns a network with weights from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return SyncNet(syncnet.scaled_channels(self.width))


class SyncNetModule(lightning.LightningModule):
    """Trains a SyncNet on pairs of lips and sound, half of which belong together."""

    def __init__(self, recipe: SyncNetRecipe, clips: Sequence[TalkingClip]) -> None:
        super().__init__()
        self._recipe, self._clips = recipe, clips
        self.network = recipe.network()

    def train_dataloader(self) -> DataLoader[Any]:
        recipe = self._recipe
        samples = SyncSamples(self._clips, recipe.seed, recipe.samples, self.current_epoch)
        order = EpochOrder(len(samples), recipe.seed, self.current_epoch, self.trainer)
        return DataLoader(samples, recipe.batch, sampler=order)

    def training_step(self, batch: Sequence[Tensor], _: int) -> Tensor:
        sound, lips, fits = batch
        heard, seen = self.network(sound, lips)
        loss = losses.sync_loss(heard, seen, fits)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        return torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.decay)


def train(
    recipe: SyncNetRecipe,
    clips: Sequence[TalkingClip],
    *,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> SyncNet:
    """Returns the trained network, in inference mode. Raises what ``fit_module`` raises."""
    module = SyncNetModule(recipe, clips)
    fit_module(
        module,
        epochs=recipe.epochs,
        seed=recipe.seed,
        out=out,
        resume=resume,
        quiet=quiet,
        most_gradient=recipe.most_gradient,
    )
    return finite(module.network.cpu().eval())


@torch.inference_mode()
def evaluate(
    network: SyncNet, clips: Sequence[TalkingClip], seed: int, pairs: int = _PAIRS
) -> dict[str, float]:
    """Returns figures on ``pairs`` pairs of clips that the network has not seen.

    ``accuracy`` is the share of pairs whose agreement is on the right side of 0.5, and
    ``agreement_own`` and ``agreement_other`` the means of pairs that do and do not belong together.
    The others are those of ``lip_sync_figures``.
    """
    samples = SyncSamples(clips, seed, pairs)
    said, truth = [], []
    for sound, lips, fits in DataLoader(samples, 16):
        said.append(losses.agreement(*network(sound, lips)).numpy())
        truth.append(fits.numpy())
    given, fit = np.concatenate(said), np.concatenate(truth) == 1
    found = {
        "accuracy": float(((given > 0.5) == fit).mean()),
        "agreement_own": float(given[fit].mean()) if fit.any() else float("nan"),
        "agreement_other": float(given[~fit].mean()) if (~fit).any() else float("nan"),
        **lip_sync_figures(network, clips),
    }
    return {key: round(value, 4) for key, value in found.items()}


def model_build(
    name: str,
    network: SyncNet,
    recipe: SyncNetRecipe,
    held_out: Sequence[TalkingClip],
    *,
    trained_on: str,
    licence: str,
) -> ModelBuild:
    """Returns the network as a model, with how it was trained and its figures on ``held_out``.

    No node runs it: it measures, and it is the sync loss of the recipe ``musetalk``.
    """
    clip = held_out[0]
    sound = syncnet.sound_windows(spectrogram(clip), [0, min(4, len(clip) - syncnet.FRAMES)])
    lips = lips_of(clip, 0)[None].repeat(2, 1, 1, 1)
    size = network.visual_encoder.norm_out.num_channels

    def embedding(what: str) -> Port:
        return Port((None, size), "float32", f"embedding of {what}, of length 1", tolerance=0.02)

    return ModelBuild(
        name=name,
        onnx=to_onnx(
            network, [sound, lips], ["sound", "lips"], ["sound_embedding", "lips_embedding"]
        ),
        task="whether lips and sound belong together: the cosine of both embeddings",
        licence=licence,
        origin=f"trained by face_perception on {trained_on}",
        inputs={
            "sound": Port((None, *sound.shape[1:]), "float32", "spectrogram, 80 columns a second"),
            "lips": Port(
                (None, *lips.shape[1:]),
                "float32",
                "lower halves of 16 faces, RGB, -1 to 1, frame by frame",
            ),
        },
        outputs={"sound_embedding": embedding("sound"), "lips_embedding": embedding("lips")},
        # The pictures of a data set are not shipped with the model: noise stands in for them.
        reference_inputs={
            "sound": sound.numpy(),
            "lips": np.random.default_rng(0).uniform(-1, 1, lips.shape).astype(np.float32),
        },
        facts={
            "recipe": dataclasses.asdict(recipe),
            "evaluation": {
                "on": f"{sum(map(len, held_out))} frames of {len(held_out)} other clips",
                **{k: v for k, v in evaluate(network, held_out, recipe.seed).items() if v == v},
            },
        },
    )
