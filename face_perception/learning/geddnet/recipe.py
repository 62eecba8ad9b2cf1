"""The GEDDnet recipe: data, training, evaluation on held-out people, and the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning.data.dataset import Dataset, DatasetError, Writer
from face_perception.learning.gaze_build import crop_port, gaze_port, trained_gaze_build
from face_perception.learning.geddnet.batch_renorm import BatchRenorm
from face_perception.learning.geddnet.export import OUTPUT, bias_facts, geddnet_onnx, input_sizes
from face_perception.learning.geddnet.loss import geddnet_loss
from face_perception.learning.geddnet.network import EYE_SIZE, FACE_SIZE, GEDDnet
from face_perception.learning.synthesis.gaze_crops import GazeFaces, gaze_faces
from face_perception.learning.training_loop import EpochOrder, finite, fit_module
from face_perception.settings import check, setting
from face_perception.types import FloatArray

SCHEDULES = ("one_cycle", "staircase")
NEEDS = ("left_eye", "right_eye", "gaze_pitch", "gaze_yaw")
CALIBRATION = 9  # images of each person that a calibration uses
# Moving statistics average over a tenth of the steps so far, and at least over ten steps.
_MEMORY, _LEAST_MOMENTUM = 10, 0.9
_RISING = 0.15  # share of one cycle in which the learning rate rises


@dataclass(frozen=True, slots=True)
class GazeRecipe:
    """Settings of a GEDDnet's training; config/training/geddnet.yaml explains each.

    ``decomposed`` gives each person in training a bias. Without a data set, ``people`` synthetic
    people with ``images`` images each are painted. ``schedule`` is ``one_cycle``, or ``staircase``
    as published, which suits a pretrained trunk. ``beta2`` is Adam's. Raises InputError for a value
    that is out of range.
    """

    task: str = setting("geddnet", choices=("geddnet",))
    seed: int = setting(0)
    epochs: int = setting(10, minimum=1)
    batch: int = setting(16, minimum=1)
    rate: float = setting(5e-3, above=0)
    beta2: float = setting(0.999, minimum=0, below=1)
    schedule: str = setting("one_cycle", choices=SCHEDULES)
    width: float = setting(0.125, above=0, maximum=1)
    dropout: float = setting(0.0, minimum=0, below=1)
    momentum: float = setting(0.99, minimum=0, below=1)
    dilated: bool = setting(True)
    decomposed: bool = setting(True)
    people: int = setting(100, minimum=3)
    images: int = setting(40, minimum=1)

    def __post_init__(self) -> None:
        check(self)


def gaze_faces_of(data: Dataset) -> GazeFaces:
    """Reads the samples that have a gaze into memory.

    Raises DatasetError that names a file that does not fit, or if no sample has a gaze.
    """
    gaze = data.labels("gaze_pitch", "gaze_yaw")
    data = data.take(np.flatnonzero(np.isfinite(gaze).all(1)))
    if not len(data):
        raise DatasetError(f"{data.folder}: no sample has gaze_pitch and gaze_yaw in this part")
    names = {"face": ("file", FACE_SIZE), "left_eye": ("left_eye", EYE_SIZE)}
    names["right_eye"] = ("right_eye", EYE_SIZE)
    images = {
        key: np.stack([data.gray(i, column, size) for i in range(len(data))])
        for key, (column, size) in names.items()
    }
    _, person = np.unique(data.columns["subject"].astype(str), return_inverse=True)
    return GazeFaces(
        **images,
        gaze=data.labels("gaze_pitch", "gaze_yaw"),
        head=data.labels("head_pitch", "head_yaw"),
        person=person.astype(np.int64),
        kappa=np.full((len(data), 2), np.nan),
    )


def write_synthetic_people(folder: Path, recipe: GazeRecipe, workers: int = 1) -> None:
    """Paints the recipe's people as a data set: 70 % train, 10 % validation, 20 % test."""
    about = {
        "name": "synthetic people",
        "licence": "Apache-2.0",
        "made_by": f"face_perception.learning.synthesis.gaze_crops, seed {recipe.seed}",
    }
    with Writer(folder, **about) as writer:
        synthetic = gaze_faces(recipe.people, recipe.images, seed=recipe.seed, workers=workers)
        for i in range(len(synthetic)):
            share = (synthetic.person[i] + 0.5) / recipe.people
            writer.add(
                {
                    "file": synthetic.face[i],
                    "left_eye": synthetic.left_eye[i],
                    "right_eye": synthetic.right_eye[i],
                },
                subject=f"person_{synthetic.person[i]:04d}",
                split="train" if share < 0.7 else "validation" if share < 0.8 else "test",
                gaze_pitch=float(synthetic.gaze[i, 0]),
                gaze_yaw=float(synthetic.gaze[i, 1]),
                head_pitch=float(synthetic.head[i, 0]),
                head_yaw=float(synthetic.head[i, 1]),
            )


class GEDDnetModule(lightning.LightningModule):
    """Trains a GEDDnet. Mirrors random samples, which then belong to the mirrored person.

    Without ``face``, the network takes the eyes only, and the faces of ``data`` may have any size.
    """

    def __init__(self, data: GazeFaces, recipe: GazeRecipe, *, face: bool = True) -> None:
        super().__init__()
        subjects = int(data.person.max()) + 1 if recipe.decomposed else 0
        self.network = GEDDnet(
            subjects,
            dilated=recipe.dilated,
            face=face,
            dropout=recipe.dropout,
            width=recipe.width,
        )
        _initialise(self.network, recipe.seed)
        # Channels last: a fifth faster on a CPU.
        self.network.to(memory_format=torch.channels_last)
        self._data, self._recipe = data, recipe

    def train_dataloader(self) -> DataLoader[Any]:
        data = self._data
        images = [torch.from_numpy(image) for image in (data.face, data.left_eye, data.right_eye)]
        rows = TensorDataset(*images, self.targets(), torch.from_numpy(data.person))
        size = self._recipe.batch
        order = EpochOrder(len(data), self._recipe.seed, self.current_epoch, self.trainer)
        return DataLoader(rows, size, sampler=order, drop_last=len(order) > size)

    def targets(self) -> torch.Tensor:
        """Returns what to learn, [N, 2]: the second value changes its sign in a mirrored sample."""
        # The network's yaw has the opposite sign of ours.
        return torch.from_numpy(self._data.gaze * (1, -1)).float()

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        face, left, right, target, person = batch
        mirrored = torch.rand(len(face)) < 0.5
        m = mirrored.to(face.device)
        inputs = [image.float()[:, None] for image in (face, left, right)]
        flipped = [inputs[k].flip(-1) for k in (0, 2, 1)]  # the mirrored left eye is the right eye
        pick = m.view(-1, 1, 1, 1)
        crops = [torch.where(pick, b, a) for a, b in zip(inputs, flipped, strict=True)]
        target = torch.stack([target[:, 0], torch.where(m, -target[:, 1], target[:, 1])], 1)
        rows = person + m * self.network.subjects if self.network.subjects else None
        return self.loss(self.network(*crops), target, rows)

    def loss(
        self, t: torch.Tensor, target: torch.Tensor, rows: torch.Tensor | None
    ) -> torch.Tensor:
        """Returns the loss of the network's outputs ``t``; ``rows`` are those of the biases."""
        parts = geddnet_loss(self.network, t, target, rows)
        self.log("loss", parts.total, prog_bar=True)
        self.log("error_deg", parts.error.mean().sqrt() / 10 * 180 / math.pi, prog_bar=True)
        total: torch.Tensor = parts.total
        return total

    def on_train_batch_start(self, batch: Any, number: int) -> None:
        # Early in training, a long average of the statistics would mostly hold their initial
        # values.
        momentum = 1 - _MEMORY / (self.global_step + _MEMORY)
        momentum = min(max(momentum, _LEAST_MOMENTUM), self._recipe.momentum)
        for layer in self.network.modules():
            if isinstance(layer, BatchRenorm):
                layer.momentum = momentum

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        trunk = list(self.network.trunk.parameters())
        others = [p for n, p in self.network.named_parameters() if not n.startswith("trunk.")]
        groups = [{"params": others}, {"params": trunk}]
        adam = torch.optim.Adam(groups, recipe.rate, betas=(0.9, recipe.beta2))
        schedule: torch.optim.lr_scheduler.LRScheduler
        if recipe.schedule == "staircase":
            schedule = torch.optim.lr_scheduler.LambdaLR(adam, [_staircase, _trunk_staircase])
        else:
            steps = recipe.epochs * len(self.train_dataloader())
            # One more step, because the scheduler also computes the rate after the last step.
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                adam, recipe.rate, total_steps=steps + 1, pct_start=_RISING
            )
        return [adam], [{"scheduler": schedule, "interval": "step"}]


def _staircase(step: int) -> float:
    """Returns the share of the learning rate at a step, as published."""
    return float(0.1 ** (step // 8000))


def _trunk_staircase(step: int) -> float:
    """Returns the share for the pretrained trunk: 0 for 500 steps, then a tenth of the others'."""
    return 0.1 * _staircase(step) if step >= 500 else 0.0


def _initialise(network: GEDDnet, seed: int) -> None:
    """Sets random weights by He's method, which suits any width and needs no VGG16.

    The published standard deviations suit the published width only.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        network.output.weight.mul_(0.1)
        # VGG16's features are some hundreds, which the trunk divides by 100.
        network.trunk.conv2_2.weight.mul_(2.0)


def train(
    data: GazeFaces,
    recipe: GazeRecipe,
    *,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> GEDDnet:
    """Returns the trained network, in inference mode. Raises what ``fit_module`` raises."""
    module = GEDDnetModule(data, recipe)
    fit_module(module, epochs=recipe.epochs, seed=recipe.seed, out=out, resume=resume, quiet=quiet)
    return finite(module.network.to(memory_format=torch.contiguous_format).cpu().eval())


def predict(network: GEDDnet, data: GazeFaces, batch: int = 64) -> FloatArray:
    """Returns pitch and yaw [N, 2], radians, in the package's convention, without bias."""
    found: FloatArray = in_batches(
        network.gaze, (data.face, data.left_eye, data.right_eye), batch
    ) * (1, -1)
    return found


def in_batches(
    forward: Callable[..., torch.Tensor], crops: Sequence[npt.NDArray[np.uint8]], batch: int
) -> FloatArray:
    """Returns what ``forward`` gives for gray crops [N, H, W], ``batch`` samples at a time."""
    answers = []
    with torch.inference_mode():
        for i in range(0, len(crops[0]), batch):
            pieces = [torch.from_numpy(image[i : i + batch]).float()[:, None] for image in crops]
            answers.append(forward(*pieces).numpy())
    found: FloatArray = np.concatenate(answers).astype(np.float64)
    return found


def angular_errors(a: FloatArray, b: FloatArray) -> FloatArray:
    """Returns the angles [N], radians, between gazes [N, 2] of pitch and yaw."""

    def vectors(g: FloatArray) -> FloatArray:
        cosine = np.cos(g[:, 0])
        return np.stack([np.sin(g[:, 1]) * cosine, np.sin(g[:, 0]), np.cos(g[:, 1]) * cosine], 1)

    found: FloatArray = np.arccos(np.clip((vectors(a) * vectors(b)).sum(1), -1, 1))
    return found


def bias_and_variance(
    estimate: FloatArray, gaze: FloatArray, person: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Returns (squared bias between people, variance within a person), rad², over both angles."""
    offsets = gaze - estimate
    own = [offsets[person == p] for p in np.unique(person)]
    # The squared mean of n values is too large by an n-th of their variance.
    within = float(np.mean([o.var(0, ddof=1).sum() for o in own]))
    squares = [float((o.mean(0) ** 2).sum()) - float(o.var(0, ddof=1).sum()) / len(o) for o in own]
    return float(np.mean(squares)), within


def calibration_errors(
    estimate: FloatArray,
    gaze: FloatArray,
    person: npt.NDArray[np.int64],
    random: np.random.Generator,
    samples: int = CALIBRATION,
) -> tuple[float, float]:
    """Returns the mean error (before, after) calibration, radians, on images not used for it.

    For each person, one image is drawn at random. The bias is the mean offset over the ``samples``
    images with the nearest gaze. Raises InputError if a person has too few images.
    """
    before, after = [], []
    for p in np.unique(person):
        index = np.flatnonzero(person == p)
        if len(index) <= samples:
            raise InputError(f"person {p} has {len(index)} images, more than {samples} are needed")
        at = gaze[random.choice(index)]
        order = index[np.argsort(((gaze[index] - at) ** 2).sum(1), kind="stable")]
        own, rest = order[:samples], order[samples:]
        bias = (gaze[own] - estimate[own]).mean(0)
        before.append(angular_errors(estimate[rest], gaze[rest]).mean())
        after.append(angular_errors(estimate[rest] + bias, gaze[rest]).mean())
    return float(np.mean(before)), float(np.mean(after))


def evaluate(network: GEDDnet, data: GazeFaces) -> dict[str, float]:
    """Returns errors in degrees on people that the network has not seen.

    They are the error without calibration, that of always answering the mean gaze, and, if each
    person has enough images, the error after calibration with one target.
    """
    estimate = predict(network, data)
    found = {
        "images": float(len(data)),
        "people": float(len(np.unique(data.person))),
        "error_deg": math.degrees(float(angular_errors(estimate, data.gaze).mean())),
        "error_of_mean_deg": math.degrees(
            float(angular_errors(np.tile(data.gaze.mean(0), (len(data), 1)), data.gaze).mean())
        ),
    }
    if np.bincount(data.person)[np.unique(data.person)].min() > CALIBRATION:
        _, after = calibration_errors(estimate, data.gaze, data.person, np.random.default_rng(0))
        found["error_calibrated_deg"] = math.degrees(after)
    return {key: round(value, 3) for key, value in found.items()}


def model_build(
    name: str,
    network: GEDDnet,
    recipe: GazeRecipe,
    held_out: GazeFaces,
    *,
    trained_on: str,
    licence: str,
) -> ModelBuild:
    """Returns the network as a model, with how it was trained and its error on ``held_out``.

    ``held_out`` are people that the network has not seen.
    """
    inputs = input_sizes(network)
    # Painted faces: no picture of a data set is shipped with the model.
    painted = gaze_faces(3, 4, seed=recipe.seed)
    return trained_gaze_build(
        name,
        geddnet_onnx(network),
        system="geddnet",
        task="gaze of one person from the face and both eyes (GEDDnet)",
        recipe=recipe,
        figures=evaluate(network, held_out),
        trained_on=trained_on,
        licence=licence,
        inputs={key: crop_port(key, size) for key, size in inputs.items()},
        outputs={OUTPUT: gaze_port(biased=network.subjects > 0)},
        reference_inputs={key: getattr(painted, key)[:, None].astype(np.float32) for key in inputs},
        facts={"width": recipe.width, **bias_facts(network)},
    )
