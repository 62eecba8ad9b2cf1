"""The multitask recipe: a teacher on incomplete labels, then students on its soft labels and them.

Deng, Chen and Shi, FG 2020. Trained by Lightning; a run goes on from its last epoch bit for bit.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from face_perception import paths
from face_perception.inference import Made
from face_perception.networks.multitask import AU, HEADS, Logits, Multitask
from face_perception.networks.multitask_export import made_of_cnn
from face_perception.networks.resnet50_ferplus import MEAN
from face_perception.training.affect_data import AffectData, Batch, TaskBatches
from face_perception.training.multitask_losses import TASKS, student_loss, teacher_loss
from face_perception.training.multitask_metrics import evaluate

RECIPE = paths.resource("config/training/multitask.yaml")
_HEAD_OF = {"EXPR": "expression", "AU": "au", "VA": "va"}
_BETAS = (0.5, 0.999)  # published


@dataclass(frozen=True, slots=True)
class Recipe:
    """What ``config/training/multitask.yaml`` says; published values are 1.0, 1, 20, 1e-4, 8, 3, 5.

    ``steps``: batches an epoch, 0: as many as it takes to draw as many samples as there are.
    """

    task: str = "multitask"
    width: float = 0.125
    shrink: int = 2
    batch: int = 20
    rate: float = 1e-3
    teacher_epochs: int = 8
    student_epochs: int = 8
    students: int = 3
    steps: int = 0
    balanced: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.task != "multitask":
            raise ValueError(f"task {self.task!r} is not known here: multitask")
        if not (0 < self.width <= 1 and self.shrink in (1, 2) and self.rate > 0):
            raise ValueError("width must be in (0, 1], shrink 1 or 2, rate positive")
        if min(self.batch, self.teacher_epochs, self.student_epochs, self.students) < 1:
            raise ValueError("batch, epochs and students must be at least 1")


def read_recipe(file: Path = RECIPE) -> Recipe:
    """Raises ValueError naming a setting that there is not, or that is out of range."""
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    known = {f.name for f in dataclasses.fields(Recipe)}
    if not isinstance(found, dict) or set(found) - known:
        wrong = sorted(set(found) - known) if isinstance(found, dict) else found
        raise ValueError(f"{file}: {wrong} is no setting; there are {', '.join(sorted(known))}")
    return Recipe(**found)


class _Training(lightning.LightningModule):
    """One network, by labels alone or with a ``teacher``."""

    def __init__(
        self, data: AffectData, recipe: Recipe, seed: int, teacher: Multitask | None = None
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.network = Multitask(width=recipe.width, shrink=recipe.shrink)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self._data, self._recipe, self._seed = data, recipe, seed
        self._teacher = [teacher.eval()] if teacher is not None else []  # no part of this one

    def train_dataloader(self) -> DataLoader[Batch]:
        recipe = self._recipe
        steps = recipe.steps or max(len(self._data) // (recipe.batch * len(TASKS)), 1)
        batches = TaskBatches(
            self._data,
            size=recipe.batch,
            steps=steps,
            seed=self._seed,
            epoch=self.current_epoch,
            balanced=recipe.balanced,
        )
        return DataLoader(batches, batch_size=None)

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        # Dropout's chance: as much a function of epoch and step as the batches are.
        torch.manual_seed((self._seed * 1009 + self.current_epoch) * 100_003 + number)
        faces = torch.cat([batch[task]["face"] for task in TASKS]) - self.mean
        labels = {task: batch[task]["label"] for task in TASKS}
        own = _by_task(self.network(faces))
        if self._teacher:
            with torch.no_grad():
                soft = _by_task(self._teacher[0].to(faces.device)(faces))
            loss = student_loss(own, soft, labels)
        else:
            loss = teacher_loss({task: own[task][task] for task in TASKS}, labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), self._recipe.rate, betas=_BETAS)


def _by_task(logits: Logits) -> dict[str, dict[str, torch.Tensor]]:
    """[batch of the task][head] of logits of the tasks' batches one after the other."""
    parts = {head: logits[_HEAD_OF[head]].chunk(len(TASKS)) for head in TASKS}
    return {task: {head: parts[head][i] for head in TASKS} for i, task in enumerate(TASKS)}


def train(
    data: AffectData,
    recipe: Recipe,
    *,
    seed: int,
    epochs: int,
    teacher: Multitask | None = None,
    folder: Path | None = None,
    progress: bool = False,
) -> Multitask:
    """One network. With a ``folder`` there are checkpoints, TensorBoard's log, and a run that was
    interrupted goes on; one that is complete is only read.
    """
    module = _Training(data, recipe, seed, teacher)
    last = folder / "last.ckpt" if folder else None
    callbacks: list[Any] = []
    if folder is not None:
        callbacks.append(ModelCheckpoint(dirpath=folder, save_last=True, save_top_k=0))
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # One worker and no validation are on purpose.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="auto" if progress else "cpu",
            logger=TensorBoardLogger(folder, name="", version="log") if folder else False,
            callbacks=callbacks,
            enable_checkpointing=folder is not None,
            enable_progress_bar=progress and sys.stderr.isatty(),
            enable_model_summary=False,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
        )
        trainer.fit(module, ckpt_path=str(last) if last and last.exists() else None)
    return module.network.cpu().eval()


def run(
    data: AffectData,
    recipe: Recipe,
    *,
    folder: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> tuple[Multitask, list[Multitask]]:
    """The whole recipe: the teacher, and the students."""
    first = 1000 * recipe.seed

    def one(name: str, number: int, epochs: int, teacher: Multitask | None) -> Multitask:
        report(f"{name}: {epochs} epochs")
        return train(
            data,
            recipe,
            seed=first + number,
            epochs=epochs,
            teacher=teacher,
            folder=folder / name if folder else None,
            progress=progress,
        )

    teacher = one("teacher", 0, recipe.teacher_epochs, None)
    students = [
        one(f"student_{k}", 1 + k, recipe.student_epochs, teacher) for k in range(recipe.students)
    ]
    return teacher, students


def made(
    name: str, networks: list[Multitask], recipe: Recipe, held_out: AffectData, trained_on: str
) -> Made:
    """The networks as one model with its card, which says how it was trained and how good it is on
    ``held_out``.
    """
    found: Mapping[str, float] = evaluate(networks, held_out)
    model: Made = made_of_cnn(
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
