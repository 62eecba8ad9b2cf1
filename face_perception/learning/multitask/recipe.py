"""The multitask recipe: trains a teacher, then students on its soft labels.

Source: Deng, Chen and Shi, FG 2020. An interrupted run continues from its last epoch, bit for bit.
"""

from __future__ import annotations

import dataclasses
import math
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
from face_perception.learning.machine_share import processors
from face_perception.learning.multitask.affect_data import (
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
from face_perception.learning.training_loop import EpochOrder, finite, fit_module, has_checkpoint
from face_perception.settings import check, setting

RECIPE = paths.resource("config/training/multitask.yaml")
_HEAD_OF = {"EXPR": "expression", "AU": "au", "VA": "va"}
_BETAS = (0.9, 0.999)  # Adam's; published: (0.5, 0.999), at a thirtieth of the learning rate
TRUNK_DATA = "trunk_data"  # folder of the synthetic people for a run's trunk
_TRUNK_PEOPLE = 100_000  # number of the first person for the trunk, unused by other sets
_TRUNK_SEED = 999  # seed of the trunk's network

Trunk = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class MultitaskRecipe:
    """Settings of the recipe; config/training/multitask.yaml explains each.

    ``steps`` is the number of batches in an epoch; with 0, an epoch draws as many samples as the
    set has. The trunk is trained for ``trunk_epochs`` on ``trunk_images`` images of each of
    ``trunk_people`` synthetic people that no other set has, in place of the published trunk, which
    was trained on FER+; with 0 epochs it has random weights. Raises InputError for a value that is
    out of range.
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
    """Reads a recipe file. Raises what ``read_settings`` raises."""
    return read_settings(MultitaskRecipe, file)


class MultitaskModule(lightning.LightningModule):
    """Trains one network: a trunk, a teacher, or a student.

    A trunk is trained on all labels of each image (``whole``). A teacher is trained on labels of
    one task of each image, a student also on the outputs of its ``teacher``; both start with
    ``trunk``, if given.
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
        # In a list, so that the teacher is not a submodule.
        self._teacher = [teacher.eval()] if teacher is not None else []
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
        # Batches are drawn at random, so their order does not matter.
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
    """Sets random weights by He's method, and residual branches that start at 0.

    Without the latter, a network this deep and narrow learns several times slower.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
        elif isinstance(module, nn.Linear):
            # PyTorch's default, by which logits start near 0.
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            nn.init.zeros_(module.bias)
        elif name.endswith("increase_bn"):
            nn.init.zeros_(module.weight)


def _by_task(logits: Logits) -> dict[str, dict[str, torch.Tensor]]:
    """Splits logits of concatenated batches into [task of the batch][head]."""
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
    """Trains one network (see ``MultitaskModule``) and returns it, in inference mode.

    ``folder``, ``resume`` and errors are those of ``training_loop.fit_module``. ``stop_after`` is
    a number of epochs after which training stops early.
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
    return finite(network.eval())


def trunk_weights(network: Multitask) -> Trunk:
    """Returns the weights of a network's trunk, with which ``train`` can start."""
    return dict(network.backbone.state_dict())


def write_trunk_people(folder: Path, recipe: MultitaskRecipe, workers: int) -> Path:
    """Paints the synthetic people for the trunk into ``folder`` and returns it."""
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
    """Trains the network whose trunk the other networks start with; see ``train``."""
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
    """Trains trunk, teacher and students, and returns (teacher, students).

    With ``resume``, continues with what ``folder`` has of them; without, raises InputError if it
    has a run.
    """
    trunk = None
    if recipe.trunk_epochs:
        report(f"trunk: {recipe.trunk_people} synthetic people, {recipe.trunk_epochs} epochs")
        with tempfile.TemporaryDirectory() as temporary:
            own = (folder or Path(temporary)) / TRUNK_DATA
            if not (resume and own.exists()):
                own.parent.mkdir(parents=True, exist_ok=True)
                write_trunk_people(own, recipe, processors())
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
    *,
    trained_on: str,
    licence: str,
) -> ModelBuild:
    """Returns the networks as one model with its recipe and its scores on ``held_out``."""
    found: Mapping[str, float] = evaluate_networks(networks, held_out)
    model: ModelBuild = cnn_build(
        name,
        networks,
        f"trained by face_perception on {trained_on}",
        average="probabilities",
        thresholds=[0.5] * len(AU),
        licence=licence,
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
