"""The recipe of the small model for action units: data, training, evaluation, and the model file.

`face-perception train small_action_units --data DIR` runs it;
config/training/small_action_units.yaml has its settings.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass

import numpy as np
import numpy.typing as npt
import torch

from face_perception.faces import ALIGNED_SIDE, CROP_SIDE
from face_perception.inference import ModelBuild, Port
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.learning.sample_faces import sample_faces
from face_perception.learning.small_action_units.augmentation import changed_faces
from face_perception.learning.small_action_units.export import (
    INPUT,
    OUTPUT,
    REAL_PEOPLE,
    small_action_units_onnx,
)
from face_perception.learning.small_action_units.network import (
    CODES,
    SmallActionUnits,
    gradient_histograms,
    small_faces,
)
from face_perception.settings import check, setting
from face_perception.statistics import auc, correlation
from face_perception.types import FloatArray

LABELS = tuple(f"au_{code}" for code in CODES)
NEEDS = ("file",)  # and some of the labels
_SHOWN = 0.4  # intensity from which a unit counts as shown: FACS's level B (convention of DISFA)
# Weight of a sample that shows nothing; the square of its strongest intensity is added.
_LEAST_WEIGHT = 0.1
_LEAST_SPREAD = 1e-3  # added to the standard deviation of each feature
_BATCH = 128  # faces that are changed at once
_TOLERANCE = 0.03  # deviation of an intensity that another backend may have


@dataclass(frozen=True, slots=True)
class SmallActionUnitsRecipe:
    """Settings of the recipe; config/training/small_action_units.yaml explains each.

    Raises InputError for a value that is out of range.
    """

    seed: int = setting(MISSING, minimum=0)
    copies: int = setting(MISSING, minimum=1)
    penalty: float = setting(MISSING, above=0)
    task: str = setting("small_action_units", choices=("small_action_units",))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class FaceSamples:
    """Samples in memory.

    ``faces`` [N, 1, 56, 56] float32 are what ``small_faces`` returns. ``units`` [N, 20] float32 are
    intensities from 0 to 1 in the order of ``CODES``, NaN where the label is missing. ``person``
    [N] is the number of the subject.
    """

    faces: npt.NDArray[np.float32]
    units: npt.NDArray[np.float32]
    person: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.units)

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Faces and units."""
        return torch.from_numpy(self.faces), torch.from_numpy(self.units)


def samples_of(data: Dataset) -> FaceSamples:
    """Reads the samples that have a label of a unit of ``CODES`` into memory.

    Raises DatasetError that names a file that does not fit or a label out of range, or if there is
    no such sample.
    """
    units = data.labels(*LABELS)
    labelled = np.flatnonzero(np.isfinite(units).any(1))
    data, units = data.take(labelled), units[labelled]
    if not len(data):
        raise DatasetError(f"{data.folder}: no sample of this part has one of {', '.join(LABELS)}")
    for row, unit in np.argwhere((units < 0) | (units > 1)):
        raise DatasetError(
            f"{data.folder}: {data.columns['sample'][row]}: {LABELS[unit]} is "
            f"{units[row, unit]:g}, an intensity from 0 to 1 was expected"
        )
    border = (CROP_SIDE - ALIGNED_SIDE) // 2
    faces = []
    for i in range(len(data)):
        patch = data.rgb(i, "file", (CROP_SIDE, CROP_SIDE))[border:-border, border:-border]
        aligned = torch.from_numpy(patch.transpose(2, 0, 1)[None].astype(np.float32))
        faces.append(small_faces(aligned).numpy())
    _, person = np.unique(data.columns["subject"].astype(str), return_inverse=True)
    return FaceSamples(np.concatenate(faces), units.astype(np.float32), person.astype(np.int64))


def train(recipe: SmallActionUnitsRecipe, data: FaceSamples) -> SmallActionUnits:
    """Returns the model that ridge regression fits to changed copies of the samples.

    A sample counts more the more it shows, because rendered faces show little on average. Missing
    labels count as the mean of those that are known.
    """
    faces, units = data.tensors
    weights = (_LEAST_WEIGHT + units.nan_to_num().amax(1).square()).repeat(recipe.copies)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(recipe.seed)
        features = torch.cat(
            [
                gradient_histograms(changed_faces(batch))
                for _ in range(recipe.copies)
                for batch in faces.split(_BATCH)
            ]
        )
        network = SmallActionUnits()
        mean = (features * weights[:, None]).sum(0) / weights.sum()
        variance = ((features - mean).square() * weights[:, None]).sum(0) / weights.sum()
        spread = variance.sqrt() + _LEAST_SPREAD
        network.mean.copy_(mean)
        network.spread.copy_(spread)
        features = (features - mean) / spread
        wanted = units.repeat(recipe.copies, 1)
        known = torch.isfinite(wanted) * weights[:, None]
        usual = (wanted.nan_to_num() * known).sum(0) / known.sum(0).clamp(min=1e-9)
        off = torch.where(torch.isfinite(wanted), wanted - usual, torch.zeros_like(wanted))
        weighted = features.T * weights
        penalty = recipe.penalty * weights.sum() * torch.eye(features.shape[1])
        found = torch.linalg.solve(weighted @ features + penalty, weighted @ off)
        network.output.weight.copy_(found.T)
        network.output.bias.copy_(usual)
    return network.eval()


def predict(network: SmallActionUnits, data: FaceSamples) -> FloatArray:
    """Returns the intensities [N, 20], about 0 to 1."""
    with torch.inference_mode():
        found = network(data.tensors[0])
    return found.numpy().astype(np.float64)


def evaluate(network: SmallActionUnits, data: FaceSamples) -> dict[str, float]:
    """Returns figures on people that the network has not seen.

    Of each unit: the correlation of its intensity with the label, and the AUC of faces that show it
    (level B of FACS and above) against those that do not show it at all. NaN if the labels do not
    vary.
    """
    found, units = predict(network, data), data.units.astype(np.float64)
    figures = {"images": float(len(data)), "people": float(len(np.unique(data.person)))}
    for k, label in enumerate(LABELS):
        known = np.isfinite(units[:, k])
        seen, true = found[known, k], units[known, k]
        figures[f"{label}_correlation"] = correlation(seen, true)
        clear = (true >= _SHOWN) | (true == 0)
        figures[f"{label}_auc"] = auc(seen[clear], true[clear] >= _SHOWN)
    return {key: round(value, 3) for key, value in figures.items()}


def model_build(
    name: str,
    network: SmallActionUnits,
    recipe: SmallActionUnitsRecipe,
    held_out: FaceSamples,
    *,
    trained_on: str,
    licence: str,
) -> ModelBuild:
    """Returns the network as a model, with how it was trained and its figures on ``held_out``.

    ``held_out`` are people that the network has not seen.
    """
    return ModelBuild(
        name=name,
        onnx=small_action_units_onnx(network),
        task="intensities of action units (FACS) of an aligned face",
        licence=licence,
        origin=f"trained by face_perception on {trained_on}",
        inputs={
            INPUT: Port(
                (None, 3, ALIGNED_SIDE, ALIGNED_SIDE),
                "float32",
                "aligned face (faces.aligned_face), RGB, 0 to 255",
            )
        },
        outputs={
            OUTPUT: Port(
                (None, len(REAL_PEOPLE)),
                "float32",
                "intensities, 0 on neutral faces and 1 for a strong movement, not limited to these",
                tolerance=_TOLERANCE,
            )
        },
        reference_inputs={INPUT: sample_faces(ALIGNED_SIDE, 4)},
        facts={
            "system": "small_action_units",
            "au": list(REAL_PEOPLE),
            "recipe": dataclasses.asdict(recipe),
            "evaluation": {
                "on": f"held-out people of {trained_on}",
                **evaluate(network, held_out),
            },
        },
    )
