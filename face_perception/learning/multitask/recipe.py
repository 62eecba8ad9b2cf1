"""The multitask recipe: a teacher on incomplete labels, then students on its soft labels and them.

Deng, Chen and Shi, FG 2020. Trained by Lightning; a run goes on from its last epoch bit for bit.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from face_perception import paths
from face_perception.inference import ModelBuild
from face_perception.learning.data.affect_patches import (
    AffectData,
    Batch,
    TaskBatches,
    WholeBatches,
    read_affect,
)
from face_perception.learning.multitask.export import cnn_build
from face_perception.learning.multitask.losses import TASKS, student_loss, teacher_loss
from face_perception.learning.multitask.metrics import evaluate_networks
from face_perception.learning.multitask.network import AU, HEADS, Logits, Multitask
from face_perception.learning.recipe import read_settings
from face_perception.learning.resnet50_ferplus import MEAN
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.learning.training_loop import EpochOrder, fit_module, has_checkpoint
from face_perception.settings import check, setting

RECIPE = paths.resource("config/training/multitask.yaml")
_HEAD_OF = {"EXPR": "expression", "AU": "au", "VA": "va"}
_BETAS = (0.9, 0.999)  # published: (0.5, 0.999), at a rate thirty times lower
TRUNK_DATA = "trunk_data"  # folder of the people that were drawn for a run's trunk
_TRUNK_PEOPLE = 100_000  # number of the first, far from those of any other set
_TRUNK_SEED = 999  # of its network

Trunk = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class MultitaskRecipe:
    """What ``config/training/multitask.yaml`` says; published values are 1.0, 1, 20, 1e-4, 8, 3, 5.

    ``steps``: batches an epoch, 0: as many as it takes to draw as many samples as there are.
    ``trunk_epochs`` on ``trunk_images`` of each of ``trunk_people``, whom no other set has, stand
    for the published trunk, which learned faces from FER+; 0: random weights.
    """

    task: str = setting("multitask", choices=("multitask",))
    width: float = setting(0.125, above=0, maximum=1)
    shrink: int = setting(2, minimum=1, maximum=2)
    batch: int = setting(20, minimum=2)  # the CCC of a single label is not defined
    rate: float = setting(3e-3, above=0)
    trunk_people: int = setting(60, minimum=1)
    trunk_images: int = setting(60, minimum=1)
    trunk_epochs: int = setting(16, minimum=0)
    teacher_epochs: int = setting(12, minimum=1)
    student_epochs: int = setting(12, minimum=1)
    students: int = setting(3, minimum=1)
    steps: int = setting(0, minimum=0)
    balanced: bool = setting(True)
    seed: int = setting(0)

    def __post_init__(self) -> None:
        check(self)


def read_multitask_recipe(file: Path = RECIPE) -> MultitaskRecipe:
    """Errors as of ``read_settings``."""
    return read_settings(MultitaskRecipe, file)


class MultitaskModule(lightning.LightningModule):
    """One network: a trunk for others, from all labels of each image (``whole``); by labels alone;
    or with a ``teacher``. The last two begin with ``trunk``, if any.
    """

    def __init__(
        self,
        data: AffectData,
        recipe: MultitaskRecipe,
        *,
        seed: int,
        epochs: int,
        whole: bool = False,
        trunk: Trunk | None = None,
        teacher: Multitask | None = None,
    ) -> None:
        super().__init__()
        self.network = Multitask(width=recipe.width, shrink=recipe.shrink)
        _initialise(self.network, seed)
        if trunk is not None:
            self.network.backbone.load_state_dict(trunk)
        self.network.to(memory_format=torch.channels_last)  # a third faster on a CPU
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self._data, self._recipe, self._seed, self._whole = data, recipe, seed, whole
        self._teacher = [teacher.eval()] if teacher is not None else []  # no part of this one
        self._steps = recipe.steps or max(len(data) // (recipe.batch * len(TASKS)), 1)
        self._epochs = epochs

    def train_dataloader(self) -> DataLoader[Batch]:
        size, epoch = self._recipe.batch, self.current_epoch
        steps, seed = self._steps, self._seed
        batches: Dataset[Batch]
        if self._whole:
            size *= len(TASKS)
            batches = WholeBatches(self._data, size=size, steps=steps, seed=seed, epoch=epoch)
        else:
            balanced = self._recipe.balanced
            batches = TaskBatches(
                self._data, size=size, steps=steps, seed=seed, epoch=epoch, balanced=balanced
            )
        # Batches are drawn by chance: in which order they come is one.
        order = EpochOrder(steps, seed, epoch, self.trainer)
        return DataLoader(batches, batch_size=None, sampler=order)

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        labels = {task: batch[task]["label"] for task in TASKS}
        loss = self._whole_loss(batch, labels) if self._whole else self._loss(batch, labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def _whole_loss(self, batch: Batch, labels: Logits) -> torch.Tensor:
        logits = self.network(self._faces(batch[TASKS[0]]["face"]))
        return teacher_loss({task: logits[_HEAD_OF[task]] for task in TASKS}, labels)

    def _loss(self, batch: Batch, labels: Logits) -> torch.Tensor:
        faces = self._faces(torch.cat([batch[task]["face"] for task in TASKS]))
        own = _by_task(self.network(faces))
        if not self._teacher:
            return teacher_loss({task: own[task][task] for task in TASKS}, labels)
        with torch.no_grad():
            soft = _by_task(self._teacher[0].to(faces.device)(faces))
        return student_loss(own, soft, labels)

    def _faces(self, faces: torch.Tensor) -> torch.Tensor:
        return (faces - self.mean).contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> Any:
        adam = torch.optim.Adam(self.network.parameters(), self._recipe.rate, betas=_BETAS)

        devices: int = self.trainer.world_size
        steps = self._epochs * (self._steps // devices)

        def rate(step: int) -> float:
            left = 0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0))
            return max(min((step + 1) / max(0.05 * steps, 1), left), 0.01)

        schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _initialise(network: Multitask, seed: int) -> None:
    """He's weights; and residual blocks that begin as nothing: so deep and narrow a network learns
    several times slower without it.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
        elif isinstance(module, nn.Linear):
            # PyTorch's own: logits begin near 0.
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            nn.init.zeros_(module.bias)
        elif name.endswith("increase_bn"):
            nn.init.zeros_(module.weight)


def _by_task(logits: Logits) -> dict[str, dict[str, torch.Tensor]]:
    """[batch of the task][head] of logits of the tasks' batches one after the other."""
    parts = {head: logits[_HEAD_OF[head]].chunk(len(TASKS)) for head in TASKS}
    return {task: {head: parts[head][i] for head in TASKS} for i, task in enumerate(TASKS)}


def train(
    data: AffectData,
    recipe: MultitaskRecipe,
    *,
    seed: int,
    epochs: int,
    whole: bool = False,
    trunk: Trunk | None = None,
    teacher: Multitask | None = None,
    folder: Path | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    progress: bool = False,
) -> Multitask:
    """One network, in inference mode: by labels alone, or of a ``teacher`` too; ``whole``: by
    images of which each has all labels. ``trunk`` is what it begins with (``trunk_weights``).

    ``folder``, ``resume`` and errors are those of ``training_loop.fit``; ``stop_after`` ends
    early, after so many epochs in all.
    """
    module = MultitaskModule(
        data, recipe, seed=seed, epochs=epochs, whole=whole, trunk=trunk, teacher=teacher
    )
    fit_module(
        module,
        epochs=min(epochs, stop_after or epochs),
        seed=seed,
        out=folder,
        resume=resume,
        quiet=not progress,
    )
    network: Multitask = module.network.cpu().to(memory_format=torch.contiguous_format)
    return network.eval()


def trunk_weights(network: Multitask) -> Trunk:
    """For ``train`` to begin with."""
    return dict(network.backbone.state_dict())


def write_trunk_people(folder: Path, recipe: MultitaskRecipe, workers: int) -> Path:
    """The recipe's own people, whom no other set has, into ``folder``."""
    people = AffectSet(
        people=recipe.trunk_people,
        photos=0,
        samples=recipe.trunk_images,
        seed=recipe.seed,
        first=_TRUNK_PEOPLE,
        incomplete=False,
    )
    return write_affect_set(folder, people, workers=workers)


def train_trunk(
    data: AffectData,
    recipe: MultitaskRecipe,
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Multitask:
    """The network whose trunk others begin with; else as ``train``."""
    return train(
        data,
        recipe,
        seed=1000 * recipe.seed + _TRUNK_SEED,
        epochs=recipe.trunk_epochs,
        whole=True,
        folder=folder,
        resume=resume,
        progress=progress,
    )


def train_ensemble(
    data: AffectData,
    recipe: MultitaskRecipe,
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> tuple[Multitask, list[Multitask]]:
    """The whole recipe: trunk, teacher and students. With ``resume`` what ``folder`` has of them is
    gone on with; without, it is an error.
    """
    trunk = None
    if recipe.trunk_epochs:
        report(f"trunk: {recipe.trunk_people} people of its own, {recipe.trunk_epochs} epochs")
        with tempfile.TemporaryDirectory() as temporary:
            own = (folder or Path(temporary)) / TRUNK_DATA
            if not (resume and own.exists()):
                own.parent.mkdir(parents=True, exist_ok=True)
                write_trunk_people(own, recipe, os.cpu_count() or 1)
            at = folder / "trunk" if folder else None
            network = train_trunk(
                read_affect(own),
                recipe,
                folder=at,
                resume=resume and has_checkpoint(at),
                progress=progress,
            )
            trunk = trunk_weights(network)

    def one(name: str, number: int, epochs: int, teacher: Multitask | None) -> Multitask:
        report(f"{name}: {epochs} epochs")
        at = folder / name if folder else None
        return train(
            data,
            recipe,
            seed=1000 * recipe.seed + number,
            epochs=epochs,
            trunk=trunk,
            teacher=teacher,
            folder=at,
            resume=resume and has_checkpoint(at),
            progress=progress,
        )

    teacher = one("teacher", 0, recipe.teacher_epochs, None)
    students = [
        one(f"student_{k}", 1 + k, recipe.student_epochs, teacher) for k in range(recipe.students)
    ]
    return teacher, students


def model_build(
    name: str,
    networks: list[Multitask],
    recipe: MultitaskRecipe,
    held_out: AffectData,
    trained_on: str,
) -> ModelBuild:
    """The networks as one model with its card, which says how it was trained and how good it is on
    ``held_out``.
    """
    found: Mapping[str, float] = evaluate_networks(networks, held_out)
    model: ModelBuild = cnn_build(
        name,
        networks,
        f"trained by face_perception on {trained_on}",
        average="probabilities",
        thresholds=[0.5] * len(AU),
        licence="Apache-2.0",
        facts={
            "recipe": dataclasses.asdict(recipe),
            "heads": list(HEADS),
            "evaluation": {
                "on": f"{len(held_out)} images of {len(set(held_out.people))} other people",
                **{key: round(value, 4) for key, value in found.items()},
            },
        },
    )
    return model
