"""Trains a narrow autoencoder on the faces of a run, for a training without published weights.

It is frozen afterwards, as the published one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from face_perception.learning.musetalk.autoencoder import SCALING, Autoencoder
from face_perception.learning.musetalk.talking_videos import TalkingClip, face_image
from face_perception.learning.musetalk.training_samples import to_tensor
from face_perception.learning.training_loop import EpochOrder, finite, fit_module

_BATCH = 8
_RATE = 2e-3
# Keeps latents near the standard deviation 1 / SCALING of the published autoencoder's.
_SPREAD = 1e-3


class _Faces(Dataset[Tensor]):
    """Faces [3, 256, 256], whole and, at odd numbers, with a black lower half."""

    def __init__(self, clips: Sequence[TalkingClip], count: int) -> None:
        self._clips, self._count = clips, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Tensor:
        clip = self._clips[i // 2 % len(self._clips)]
        face = to_tensor([face_image(clip, i // 2 // len(self._clips) % len(clip))])[0]
        if i % 2:
            face[:, face.shape[1] // 2 :] = -1
        return face


class _AutoencoderModule(lightning.LightningModule):
    def __init__(
        self,
        clips: Sequence[TalkingClip],
        widths: Sequence[int],
        seed: int,
        samples: int,
        steps: int,
    ) -> None:
        super().__init__()
        self._faces, self._seed, self._steps = _Faces(clips, samples), seed, steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Autoencoder(widths)

    def train_dataloader(self) -> DataLoader[Tensor]:
        order = EpochOrder(len(self._faces), self._seed, self.current_epoch, self.trainer)
        return DataLoader(self._faces, _BATCH, sampler=order)

    def training_step(self, faces: Tensor, _: int) -> Tensor:
        mean, _ = self.network.encode(faces)
        wrong = (self.network.decode(mean * SCALING) - faces).abs().mean()
        self.log("train/l1", wrong, prog_bar=True)
        return wrong + _SPREAD * (mean * SCALING).square().mean()

    def configure_optimizers(self) -> Any:
        adam = torch.optim.Adam(self.network.parameters(), _RATE)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self._steps)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cosine, "interval": "epoch"}}


def train_autoencoder(
    clips: Sequence[TalkingClip],
    widths: Sequence[int],
    *,
    seed: int,
    epochs: int,
    samples: int,
    out: Path,
    resume: bool,
    quiet: bool = False,
) -> Autoencoder:
    """Returns an autoencoder with the channels ``widths``, in inference mode.

    Learns for ``epochs`` of ``samples`` faces. Raises what ``fit_module`` raises.
    """
    module = _AutoencoderModule(clips, widths, seed, samples, epochs)
    fit_module(module, epochs=epochs, seed=seed, out=out, resume=resume, quiet=quiet)
    return finite(module.network.cpu().eval())
