"""The recipe of MuseTalk: both stages of training, and the networks that they need.

`face-perception train musetalk` and `train musetalk_stage2` run it; the files in config/training
explain its settings. Source: Zhang et al., "MuseTalk", 2024, and the released training code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from face_perception.errors import InputError
from face_perception.learning.musetalk import losses
from face_perception.learning.musetalk.autoencoder import SCALING, Autoencoder
from face_perception.learning.musetalk.image_pyramid import loss_images
from face_perception.learning.musetalk.patch_discriminator import WIDTH, PatchDiscriminator
from face_perception.learning.musetalk.perceptual_loss import VGGFeatures, perceptual_loss
from face_perception.learning.musetalk.syncnet import FRAMES, SyncNet, lower_halves
from face_perception.learning.musetalk.talking_videos import BOXES, TalkingClip
from face_perception.learning.musetalk.training_samples import FaceSamples, Sampling
from face_perception.learning.musetalk.unet import UNet
from face_perception.learning.training_loop import EpochOrder, finite, fit_module
from face_perception.settings import check, setting

_LEVELS = 4
_SIDE = 256
_BETAS = (0.5, 0.999)
_LAST_RATE = 1e-6  # of a discriminator
_LEAST_MOUTH = 2  # pixels


@dataclass(frozen=True, slots=True)
class MuseTalkRecipe:
    """Settings of the recipe; config/training/musetalk.yaml and musetalk_stage2.yaml explain each.

    Raises InputError for a value that is out of range.
    """

    seed: int = setting(MISSING, minimum=0)
    stage: int = setting(MISSING, choices=(1, 2))
    epochs: int = setting(MISSING, minimum=1)
    samples: int = setting(MISSING, minimum=1)
    batch: int = setting(MISSING, minimum=1)
    frames: int = setting(MISSING, minimum=1)
    rate: float = setting(MISSING, above=0)
    accumulate: int = setting(1, minimum=1)
    warm_up: int = setting(1000, minimum=0)
    decay: float = setting(0.01, minimum=0)
    most_gradient: float = setting(1.0, above=0)
    channels: tuple[float, ...] = setting((320.0, 640.0, 1280.0, 1280.0), minimum=8, length=_LEVELS)
    layers: int = setting(2, minimum=1)
    vae: str = setting("")
    whisper: str = setting("")
    vae_channels: tuple[float, ...] = setting((16.0, 32.0, 32.0, 32.0), minimum=4, length=_LEVELS)
    vae_epochs: int = setting(10, minimum=1)
    start: str = setting("")
    syncnet: str = setting("")
    perceptual: str = setting("")
    similar: bool = setting(True)
    box: str = setting(BOXES[0], choices=BOXES)
    margin: float = setting(0.0, minimum=0)
    margin_spread: float = setting(0.0, minimum=0)
    cut_mouths: bool = setting(False)
    l1_weight: float = setting(1.0, minimum=0)
    perceptual_weight: float = setting(0.01, minimum=0)
    gan_weight: float = setting(0.01, minimum=0)
    mouth_gan_weight: float = setting(0.01, minimum=0)
    matching_weight: float = setting(1.0, minimum=0)
    sync_weight: float = setting(0.05, minimum=0)
    gan_start: int = setting(1000, minimum=0)
    discriminator_width: int = setting(WIDTH, minimum=1)
    discriminator_rate: float = setting(5e-6, above=0)
    first_frames: int = setting(0, minimum=0)
    evaluated_frames: int = setting(32, minimum=1)
    cache: str = setting("")
    task: str = setting("musetalk", choices=("musetalk",))

    def __post_init__(self) -> None:
        check(self)
        for name, factor in (("channels", 8), ("vae_channels", 4)):
            for value in getattr(self, name):
                if value % factor:
                    raise InputError(f"{name} has {value:g}: give multiples of {factor}")
        if self.stage == 2 and not self.start:
            raise InputError(
                "stage 2 starts from stage 1: give start, the folder of a run of stage 1 or a file "
                "of the UNet's weights"
            )
        if self.stage == 2 and self.syncnet and self.frames != FRAMES:
            raise InputError(
                f"frames is {self.frames}: SyncNet sees {FRAMES} frames, so give {FRAMES}, or "
                "train without syncnet"
            )
        if self.first_frames and self.first_frames < self.frames:
            raise InputError(
                f"first_frames is {self.first_frames}: give 0 for all, or at least frames "
                f"({self.frames})"
            )

    def sampling(self) -> Sampling:
        """Returns how samples are drawn."""
        return Sampling(
            self.seed,
            self.samples,
            self.frames,
            similar=self.similar,
            margin=self.margin,
            spread=self.margin_spread,
            cut_mouths=self.cut_mouths,
        )

    def network(self) -> UNet:
        """Returns a UNet with weights from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return UNet(tuple(map(int, self.channels)), self.layers)

    def steps(self) -> int:
        """Returns the number of steps of the optimisers in all epochs."""
        batches = -(-self.samples // self.batch)
        return self.epochs * -(-batches // self.accumulate)


@dataclass(frozen=True)
class Frozen:
    """Networks that are not trained. ``perceptual`` and ``syncnet`` may be missing."""

    autoencoder: Autoencoder
    perceptual: VGGFeatures | None = None
    syncnet: SyncNet | None = None

    def networks(self) -> list[nn.Module]:
        """Returns those that there are."""
        return [n for n in (self.autoencoder, self.perceptual, self.syncnet) if n is not None]


def generate(unet: nn.Module, autoencoder: Autoencoder, batch: dict[str, Tensor]) -> Tensor:
    """Returns generated images [N, 3, 256, 256], RGB, about -1 to 1.

    ``batch`` has ``faces`` and ``references`` [N, 3, 256, 256], of which the upper half and all are
    seen, and ``audio`` [N, 50, 384].
    """
    with torch.no_grad():
        masked = batch["faces"].clone()
        masked[:, :, _SIDE // 2 :] = -1
        seen = [autoencoder.encode(x)[0] * SCALING for x in (masked, batch["references"])]
    return autoencoder.decode(unet(torch.cat(seen, 1), batch["audio"]))


def mouth_images(images: Tensor, mouths: Tensor) -> Tensor:
    """Returns the mouths [M, 3, 256, 256] of images [N, 3, 256, 256], by boxes ``mouths`` [N, 4].

    Boxes without pixels, of faces that are too small, are left out: M may be less than N. As
    released, the last row and column of a box are left out, too.
    """
    found = []
    for image, (left, top, right, bottom) in zip(images, mouths.tolist(), strict=True):
        cut = image[None, :, top : bottom - 1, left : right - 1]
        if min(cut.shape[2:]) >= _LEAST_MOUTH:
            size = (_SIDE, _SIDE)
            found.append(F.interpolate(cut, size=size, mode="bilinear", align_corners=False))
    return torch.cat(found) if found else images[:0]


class MuseTalkModule(lightning.LightningModule):
    """Trains a UNet, and in stage 2 two discriminators: of faces and of mouths.

    Optimisation is by hand, because the released code steps three optimisers after each backward
    pass. Frozen networks are not part of a checkpoint.
    """

    done: Tensor

    def __init__(
        self,
        recipe: MuseTalkRecipe,
        clips: Sequence[TalkingClip],
        states: Sequence[npt.NDArray[np.floating]],
        frozen: Frozen,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._recipe, self._clips, self._states = recipe, clips, states
        self._frozen = (frozen,)  # in a tuple: Lightning does not take it for a part
        self.network = recipe.network()
        if start is not None:
            self.network.load_state_dict(start)
        self.discriminators = nn.ModuleDict()
        if recipe.stage == 2:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed)
                for name, weight in self._adversarial().items():
                    if weight:
                        self.discriminators[name] = PatchDiscriminator(recipe.discriminator_width)
        self.register_buffer("done", torch.tensor(0))

    def _adversarial(self) -> dict[str, float]:
        return {"face": self._recipe.gan_weight, "mouth": self._recipe.mouth_gan_weight}

    def on_fit_start(self) -> None:
        for network in self._frozen[0].networks():
            network.to(self.device)

    def train_dataloader(self) -> DataLoader[Any]:
        recipe = self._recipe
        samples = FaceSamples(self._clips, self._states, recipe.sampling(), self.current_epoch)
        order = EpochOrder(len(samples), recipe.seed, self.current_epoch, self.trainer)
        return DataLoader(samples, recipe.batch, sampler=order)

    def training_step(self, batch: dict[str, Tensor], number: int) -> None:
        recipe = self._recipe
        flat = {key: batch[key].flatten(0, 1) for key in ("faces", "references", "audio", "mouths")}
        faces = flat["faces"]
        made = generate(self.network, self._frozen[0].autoencoder, flat)
        pairs = {"face": (faces, made)}
        if "mouth" in self.discriminators:
            pairs["mouth"] = (
                mouth_images(faces, flat["mouths"]),
                mouth_images(made, flat["mouths"]),
            )
        self.discriminators.requires_grad_(False)
        parts = self._losses(batch["sound"], pairs)
        for name, value in parts.items():
            self.log(f"train/{name}", value.detach(), prog_bar=name == "l1")
        self.manual_backward(torch.stack(list(parts.values())).sum() / recipe.accumulate)
        self.discriminators.requires_grad_(True)
        gate = float(int(self.done) >= recipe.gan_start)
        for name, discriminator in self.discriminators.items():
            real, generated = pairs[name]
            if len(real):
                # As released, they learn from images of 256 pixels, and judge those of 224.
                answers = (discriminator(x)[0] for x in (real, generated.detach()))
                wrong = losses.discriminator_loss(*answers)
                self.log(f"train/discriminator_{name}", wrong.detach())
                self.manual_backward(gate * wrong / recipe.accumulate)
        if (number + 1) % recipe.accumulate == 0 or self.trainer.is_last_batch:
            self._step()

    def _losses(self, sound: Tensor, pairs: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Returns the weighted losses of the UNet by name."""
        recipe, frozen = self._recipe, self._frozen[0]
        faces, made = pairs["face"]
        found = {"l1": recipe.l1_weight * (faces - made).abs().mean()}
        if frozen.perceptual is not None:
            seen = perceptual_loss(frozen.perceptual, faces, made)
            found["perceptual"] = recipe.perceptual_weight * seen
        gate = float(int(self.done) >= recipe.gan_start)
        for name, discriminator in self.discriminators.items():
            real, generated = pairs[name]
            if not len(real):
                continue
            answer, features = discriminator(loss_images(generated))
            with torch.no_grad():
                _, wanted = discriminator(loss_images(real))
            weight = self._adversarial()[name]
            found[f"gan_{name}"] = gate * weight * losses.generator_loss(answer)
            matching = losses.feature_matching_loss(wanted, features)
            found[f"matching_{name}"] = recipe.matching_weight * matching
        if recipe.stage == 2 and frozen.syncnet is not None:
            heard, seen = frozen.syncnet(sound, lower_halves(made.unflatten(0, (len(sound), -1))))
            found["sync"] = recipe.sync_weight * losses.sync_loss(heard, seen)
        return found

    def _step(self) -> None:
        optimizers, schedules = self.optimizers(), self.lr_schedulers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        schedules = schedules if isinstance(schedules, list) else [schedules]
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self._recipe.most_gradient)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        self.done += 1

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        steps, warm = recipe.steps(), recipe.warm_up

        def adam(network: nn.Module, rate: float) -> torch.optim.AdamW:
            decay = recipe.decay
            return torch.optim.AdamW(network.parameters(), rate, _BETAS, weight_decay=decay)

        def linear(step: int) -> float:
            return step / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))

        first = adam(self.network, recipe.rate)
        others = [adam(d, recipe.discriminator_rate) for d in self.discriminators.values()]
        falling = torch.optim.lr_scheduler.LambdaLR(first, linear)
        cosine = [
            torch.optim.lr_scheduler.CosineAnnealingLR(
                one, steps, min(_LAST_RATE, one.defaults["lr"])
            )
            for one in others
        ]
        return [first, *others], [falling, *cosine]


def train(
    recipe: MuseTalkRecipe,
    clips: Sequence[TalkingClip],
    states: Sequence[npt.NDArray[np.floating]],
    frozen: Frozen,
    *,
    start: dict[str, Tensor] | None = None,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> UNet:
    """Returns the trained UNet, in inference mode.

    ``states`` are those of whisper for each clip; ``start`` are the weights to begin with. Raises
    InputError if the weights are not finite, and what ``fit_module`` raises.
    """
    module = MuseTalkModule(recipe, clips, states, frozen, start)
    fit_module(module, epochs=recipe.epochs, seed=recipe.seed, out=out, resume=resume, quiet=quiet)
    network = module.network.cpu().eval()
    for one in frozen.networks():  # training has moved them to its device
        one.cpu()
    return finite(network)
