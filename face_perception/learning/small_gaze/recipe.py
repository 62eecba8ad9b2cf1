"""The recipe of the small gaze network: data, training, evaluation, and the model.

`face-perception train small_gaze --data DIR` runs it; config/training/small_gaze.yaml has its
settings.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from face_perception.errors import InputError
from face_perception.gaze import (
    GAZE_MEASURES,
    PRIOR_FACT,
    EstimatorPrior,
    prior_from_values,
    prior_values,
)
from face_perception.inference import ModelBuild, Port
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.learning.gaze_build import (
    TOLERANCE,
    crop_port,
    gaze_port,
    trained_gaze_build,
)
from face_perception.learning.geddnet.recipe import angular_errors
from face_perception.learning.geddnet.reference_inputs import sample_inputs
from face_perception.learning.small_gaze.augmentation import (
    changed_eyes,
    changed_measures,
)
from face_perception.learning.small_gaze.export import (
    INPUTS,
    OUTPUTS,
    RealPeople,
    small_gaze_onnx,
)
from face_perception.learning.small_gaze.network import (
    EYE_SIZE,
    Estimate,
    SmallGaze,
    sigma_of,
    small_eyes,
)
from face_perception.learning.training_loop import EpochOrder, finite, fit_module
from face_perception.outside_files import one_error, read_yaml
from face_perception.settings import check, setting
from face_perception.statistics import slope
from face_perception.types import FloatArray

NEEDS = ("left_eye", "right_eye", "gaze_pitch", "gaze_yaw", *GAZE_MEASURES)
_RISING = 0.2  # share of training in which the learning rate rises
# Each error is weighted with its variance to this power: without it, samples that the network finds
# hard would hardly count (Seitzer et al., "On the pitfalls of heteroscedastic uncertainty
# estimation", ICLR 2022).
_BETA = 0.5


@dataclass(frozen=True, slots=True)
class SmallGazeRecipe:
    """Settings of the recipe; config/training/small_gaze.yaml explains each.

    Raises InputError for a value that is out of range.
    """

    seed: int = setting(MISSING, minimum=0)
    epochs: int = setting(MISSING, minimum=1)
    batch: int = setting(MISSING, minimum=2)
    rate: float = setting(MISSING, above=0)
    decay: float = setting(MISSING, minimum=0)
    share_pitch: float = setting(1.0, minimum=0, maximum=1)
    share_yaw: float = setting(1.0, minimum=0, maximum=1)
    add_pitch_deg: float = setting(0.0)
    sigma_factor_pitch: float = setting(1.0, above=0)
    sigma_factor_yaw: float = setting(1.0, above=0)
    prior: str = setting("")
    task: str = setting("small_gaze", choices=("small_gaze",))

    def __post_init__(self) -> None:
        check(self)

    @property
    def real(self) -> RealPeople:
        """What the exported graph does for real people."""
        return RealPeople(
            (self.share_pitch, self.share_yaw),
            self.add_pitch_deg,
            (self.sigma_factor_pitch, self.sigma_factor_yaw),
        )

    def read_prior(self) -> EstimatorPrior | None:
        """Returns the prior in the file ``prior``; None if the setting is empty.

        Raises InputError that names the file and its fault.
        """
        if not self.prior:
            return None
        with one_error(f"prior {self.prior}", "give a YAML file as resources/gaze/prior.yaml"):
            content = read_yaml(Path(self.prior))
        try:
            return prior_from_values(content)
        except InputError as error:
            raise InputError(f"{self.prior}: {error}") from error


@dataclass(frozen=True, slots=True)
class GazeSamples:
    """Samples in memory.

    ``left_eye`` and ``right_eye`` [N, 64, 96] are uint8, ``measures`` [N, 7] and ``gaze`` [N, 2]
    (pitch, yaw to the image's right) float32, radians; ``person`` [N] is the number of the subject.
    """

    left_eye: npt.NDArray[np.uint8]
    right_eye: npt.NDArray[np.uint8]
    measures: npt.NDArray[np.float32]
    gaze: npt.NDArray[np.float32]
    person: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gaze)

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Eyes as the network takes them, measures and gaze."""
        eyes = [
            small_eyes(torch.from_numpy(image)[:, None].float())
            for image in (self.left_eye, self.right_eye)
        ]
        return *eyes, torch.from_numpy(self.measures), torch.from_numpy(self.gaze)


def samples_of(data: Dataset) -> GazeSamples:
    """Reads the samples that have a gaze and all measures into memory.

    Raises DatasetError that names a file that does not fit, or if there is no such sample.
    """
    names = ("gaze_pitch", "gaze_yaw", *GAZE_MEASURES)
    data = data.take(np.flatnonzero(np.isfinite(data.labels(*names)).all(1)))
    if not len(data):
        raise DatasetError(f"{data.folder}: no sample of this part has all of {', '.join(names)}")
    left, right = (
        np.stack([data.gray(i, column, EYE_SIZE) for i in range(len(data))])
        for column in ("left_eye", "right_eye")
    )
    _, person = np.unique(data.columns["subject"].astype(str), return_inverse=True)
    return GazeSamples(
        left_eye=left,
        right_eye=right,
        measures=data.labels(*GAZE_MEASURES).astype(np.float32),
        gaze=data.labels("gaze_pitch", "gaze_yaw").astype(np.float32),
        person=person.astype(np.int64),
    )


class SmallGazeModule(lightning.LightningModule):
    """Trains a network on ``data`` and logs its error on ``validation``, people never seen."""

    def __init__(
        self, recipe: SmallGazeRecipe, data: GazeSamples, validation: GazeSamples | None = None
    ) -> None:
        super().__init__()
        self._recipe, self._data, self._validation = recipe, data, validation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            # This order of pixels and channels is faster on a CPU.
            self.network = SmallGaze().to(memory_format=torch.channels_last)

    def train_dataloader(self) -> DataLoader[Any]:
        rows = TensorDataset(*self._data.tensors)
        size = self._recipe.batch
        order = EpochOrder(len(rows), self._recipe.seed, self.current_epoch, self.trainer)
        return DataLoader(rows, size, sampler=order, drop_last=len(order) > size)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        validation = self._validation
        return [] if validation is None else [DataLoader(TensorDataset(*validation.tensors), 256)]

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        left, right, measures, gaze = batch
        left, right = changed_eyes(left, right)
        loss = gaze_loss(self.network(left, right, changed_measures(measures)), gaze)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        found = self.network(*batch[:3])
        self.log("val/nll", gaze_loss(found, batch[3], beta=0.0), prog_bar=True)
        off = (found.gaze - batch[3]).square().sum(1).sqrt().mean()
        self.log("val/error_deg", off * 180 / math.pi, prog_bar=True)

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        adam = torch.optim.AdamW(self.parameters(), recipe.rate, weight_decay=recipe.decay)
        steps = recipe.epochs * len(self.train_dataloader())
        # One more step, because the scheduler also computes the rate after the last step.
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            adam, recipe.rate, total_steps=steps + 1, pct_start=_RISING
        )
        return [adam], [{"scheduler": schedule, "interval": "step"}]


def gaze_loss(found: Estimate, gaze: torch.Tensor, beta: float = _BETA) -> torch.Tensor:
    """Returns the negative log likelihood of ``gaze`` [N, 2] under normal errors, weighted by
    variance^beta.
    """
    sigma = sigma_of(found.log_sigma)
    each = 0.5 * ((found.gaze - gaze) / sigma).square() + sigma.log()
    # Divided by a usual standard deviation, so that the loss does not depend on the unit.
    return ((sigma.detach() / 0.1) ** (2 * beta) * each).mean()


def train(
    recipe: SmallGazeRecipe,
    data: GazeSamples,
    *,
    validation: GazeSamples | None = None,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> SmallGaze:
    """Returns the trained network, in inference mode. Raises what ``fit_module`` raises."""
    module = SmallGazeModule(recipe, data, validation)
    fit_module(
        module,
        epochs=recipe.epochs,
        seed=recipe.seed,
        out=out,
        resume=resume,
        quiet=quiet,
        most_gradient=1.0,
    )
    return finite(module.network.cpu().eval())


def predict(network: SmallGaze, data: GazeSamples) -> tuple[FloatArray, FloatArray]:
    """Returns pitch and yaw [N, 2] and their standard deviations [N, 2], radians."""
    with torch.inference_mode():
        found = network(*data.tensors[:3])
        sigma = sigma_of(found.log_sigma)
    return found.gaze.numpy().astype(np.float64), sigma.numpy().astype(np.float64)


def evaluate(network: SmallGaze, data: GazeSamples) -> dict[str, float]:
    """Returns figures on people that the network has not seen: errors in degrees, and gains.

    The errors are those of the network, of the geometric estimate (``measures``) and of always
    answering the mean gaze. A gain is the slope of the estimate on the truth. ``sigma`` is the root
    mean square of error over stated standard deviation: 1 is right.
    """
    estimate, sigma = predict(network, data)
    truth = data.gaze.astype(np.float64)

    def error(gaze: FloatArray) -> float:
        return math.degrees(float(angular_errors(gaze, truth).mean()))

    found = {
        "images": float(len(data)),
        "people": float(len(np.unique(data.person))),
        "error_deg": error(estimate),
        "error_of_geometric_deg": error(data.measures[:, :2].astype(np.float64)),
        "error_of_mean_deg": error(np.tile(truth.mean(0), (len(data), 1))),
        "sigma": float(np.sqrt((((estimate - truth) / sigma) ** 2).mean())),
    }
    for axis, name in enumerate(("pitch", "yaw")):
        found[f"gain_{name}"] = slope(truth[:, axis], estimate[:, axis])
        found[f"gain_{name}_of_geometric"] = slope(truth[:, axis], data.measures[:, axis])
    return {key: round(value, 3) for key, value in found.items()}


def model_build(
    name: str,
    network: SmallGaze,
    recipe: SmallGazeRecipe,
    held_out: GazeSamples,
    *,
    trained_on: str,
    licence: str,
    prior: EstimatorPrior | None = None,
) -> ModelBuild:
    """Returns the network as a model, with how it was trained and its error on ``held_out``.

    ``held_out`` are people that the network has not seen. ``prior`` goes into the card.
    """
    crops = {name: value for name, value in sample_inputs().items() if name in INPUTS}
    few = held_out.measures[np.arange(len(crops[INPUTS[0]])) % len(held_out)]
    gaze, sigma = OUTPUTS
    return trained_gaze_build(
        name,
        small_gaze_onnx(network, recipe.real),
        system="small_gaze",
        task="gaze of one person from both eyes and measured landmarks",
        recipe=recipe,
        figures=evaluate(network, held_out),
        trained_on=trained_on,
        licence=licence,
        inputs={
            **{key: crop_port(key, EYE_SIZE) for key in crops},
            "measures": Port((None, len(GAZE_MEASURES)), "float32", ", ".join(GAZE_MEASURES)),
        },
        outputs={
            gaze: gaze_port(),
            sigma: Port(
                (None, 2),
                "float32",
                "standard deviations of pitch and yaw, radians",
                tolerance=TOLERANCE,
            ),
        },
        reference_inputs={**crops, "measures": few},
        facts={} if prior is None else {PRIOR_FACT: prior_values(prior)},
    )
