"""The recipe of Dilated-Net: gaze, or eye contact, from both eyes; with dilation or with pooling.

Source: Chen and Shi, "Appearance-Based Gaze Estimation Using Dilated-Convolutions", ACCV 2018.
Training is that of GEDDnet's recipe, which was developed from it, without face and biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from face_perception.errors import InputError
from face_perception.inference import ModelBuild, Port
from face_perception.learning.data.dataset import Dataset, DatasetError, Writer
from face_perception.learning.gaze_build import crop_port, gaze_port, trained_gaze_build
from face_perception.learning.geddnet import recipe as geddnet
from face_perception.learning.geddnet.export import OUTPUT, geddnet_onnx, input_sizes
from face_perception.learning.geddnet.loss import SQUARES, squared_weights
from face_perception.learning.geddnet.network import EYE_SIZE, GEDDnet
from face_perception.learning.geddnet.recipe import GazeRecipe, GEDDnetModule
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.synthesis.gaze_crops import GazeFaces, gaze_faces
from face_perception.learning.training_loop import finite, fit_module
from face_perception.settings import setting
from face_perception.types import FloatArray

GAZE, EYE_CONTACT = "gaze", "eye_contact"
# Columns of a data set that each target needs.
NEEDS = {
    GAZE: ("left_eye", "right_eye", "gaze_pitch", "gaze_yaw"),
    EYE_CONTACT: ("left_eye", "right_eye", "eye_contact"),
}
_APART = math.radians(5)  # painted people who look closer to the lens are no example of either


@dataclass(frozen=True, slots=True)
class DilatedNetRecipe(GazeRecipe):
    """Settings of the recipe; config/training/dilated_net.yaml explains each.

    ``hold_out`` is a person to test on, in place of the split of the data set: all others are for
    training. Raises InputError for a value that is out of range.
    """

    task: str = setting("dilated_net", choices=("dilated_net",))
    decomposed: bool = setting(False, choices=(False,))
    target: str = setting(GAZE, choices=(GAZE, EYE_CONTACT))
    hold_out: str = setting("")


@dataclass(frozen=True, slots=True)
class EyeSamples:
    """Eyes with labels in memory. ``faces`` has no pictures of faces; ``contact`` [N] is 0 or 1."""

    faces: GazeFaces
    contact: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.contact)


def parts_of(data: Dataset, recipe: DilatedNetRecipe) -> tuple[EyeSamples, EyeSamples]:
    """Returns the samples to train and to test on.

    Raises InputError if the data set does not have the person ``hold_out``, and DatasetError as
    ``samples_of`` does.
    """
    if not recipe.hold_out:
        training, held_out = data.part("train"), data.part("test")
    else:
        own = data.columns["subject"] == recipe.hold_out
        if not own.any():
            known = ", ".join(sorted(set(data.columns["subject"].astype(str)))[:20])
            raise InputError(
                f"{data.folder} has no person {recipe.hold_out!r} to hold out: {known}"
            )
        training, held_out = data.take(~own), data.take(own)
    return samples_of(training, recipe.target), samples_of(held_out, recipe.target)


def samples_of(data: Dataset, target: str) -> EyeSamples:
    """Reads the samples that have labels of ``target`` into memory.

    Raises DatasetError that names a file that does not fit, or if no sample has a label.
    """
    names = NEEDS[target][2:]
    data = data.take(np.flatnonzero(np.isfinite(data.labels(*names)).all(1)))
    if not len(data):
        raise DatasetError(f"{data.folder}: no sample has {' and '.join(names)} in this part")
    contact = np.zeros(len(data), np.int64)
    if target == EYE_CONTACT:
        found = data.labels(EYE_CONTACT)[:, 0]
        if not np.isin(found, (0, 1)).all():
            raise DatasetError(f"{data.folder}: eye_contact must be 0, 1 or null")
        contact = found.astype(np.int64)
    left, right = (
        np.stack([data.gray(i, column, EYE_SIZE) for i in range(len(data))])
        for column in ("left_eye", "right_eye")
    )
    _, person = np.unique(data.columns["subject"].astype(str), return_inverse=True)
    faces = GazeFaces(
        face=np.zeros((len(data), 1, 1), np.uint8),
        left_eye=left,
        right_eye=right,
        gaze=data.labels("gaze_pitch", "gaze_yaw"),
        head=data.labels("head_pitch", "head_yaw"),
        person=person.astype(np.int64),
        kappa=np.full((len(data), 2), np.nan),
    )
    return EyeSamples(faces, contact)


def write_synthetic_people(folder: Path, recipe: DilatedNetRecipe, workers: int = 1) -> None:
    """Paints the recipe's people as a data set: 70 % train, 10 % validation, 20 % test.

    For eye contact, half of the images of a person show a look at the lens, with the head turned.
    """
    if recipe.target == GAZE:
        geddnet.write_synthetic_people(folder, recipe, workers)
        return
    about = {
        "name": "synthetic people",
        "licence": "Apache-2.0",
        "made_by": f"face_perception.learning.synthesis.gaze_crops, seed {recipe.seed}",
    }
    with Writer(folder, **about) as writer:
        half = max(recipe.images // 2, 1)
        for contact, target in ((0, None), (1, (0.0, 0.0))):
            painted = gaze_faces(
                recipe.people, half, seed=recipe.seed, target=target, workers=workers
            )
            for i, person in enumerate(painted.person):
                if not contact and np.hypot(*painted.gaze[i]) < _APART:
                    continue
                share = (person + 0.5) / recipe.people
                writer.add(
                    {
                        "file": painted.face[i],
                        "left_eye": painted.left_eye[i],
                        "right_eye": painted.right_eye[i],
                    },
                    subject=f"person_{person:04d}",
                    split="train" if share < 0.7 else "validation" if share < 0.8 else "test",
                    gaze_pitch=float(painted.gaze[i, 0]),
                    gaze_yaw=float(painted.gaze[i, 1]),
                    eye_contact=float(contact),
                )


class DilatedNetModule(GEDDnetModule):
    """Trains a Dilated-Net on gaze, or on eye contact by cross-entropy."""

    def __init__(self, data: EyeSamples, recipe: DilatedNetRecipe) -> None:
        super().__init__(data.faces, recipe, face=False)
        self._contact = torch.from_numpy(data.contact).float()
        self._classifies = recipe.target == EYE_CONTACT

    def targets(self) -> torch.Tensor:
        if not self._classifies:
            return super().targets()
        return torch.stack([self._contact, torch.zeros_like(self._contact)], 1)

    def loss(
        self, t: torch.Tensor, target: torch.Tensor, rows: torch.Tensor | None
    ) -> torch.Tensor:
        if not self._classifies:
            return super().loss(t, target, rows)
        wrong = functional.cross_entropy(t, target[:, 0].long())
        self.log("train/cross_entropy", wrong, prog_bar=True)
        return wrong + SQUARES * squared_weights(self.network)


def train(
    data: EyeSamples,
    recipe: DilatedNetRecipe,
    *,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> GEDDnet:
    """Returns the trained network, in inference mode. Raises what ``fit_module`` raises."""
    module = DilatedNetModule(data, recipe)
    fit_module(module, epochs=recipe.epochs, seed=recipe.seed, out=out, resume=resume, quiet=quiet)
    return finite(module.network.to(memory_format=torch.contiguous_format).cpu().eval())


def contact_probability(network: GEDDnet, data: EyeSamples, batch: int = 64) -> FloatArray:
    """Returns the probability [N] that each pair of eyes looks into the lens."""
    eyes = (data.faces.left_eye, data.faces.right_eye)
    return geddnet.in_batches(_Classifier(network), eyes, batch)[:, 0]


def evaluate(network: GEDDnet, data: EyeSamples, recipe: DilatedNetRecipe) -> dict[str, float]:
    """Returns figures on people that the network has not seen.

    Of gaze: those of GEDDnet's recipe. Of eye contact: accuracy, the mean of the shares of looks
    into the lens and of other looks that are recognised, and the share of the former.
    """
    if recipe.target == GAZE:
        return geddnet.evaluate(network, data.faces)
    said = contact_probability(network, data) > 0.5
    truth = data.contact == 1
    right = [float((said == truth)[truth == kind].mean()) for kind in set(truth.tolist())]
    found = {
        "images": float(len(data)),
        "people": float(len(np.unique(data.faces.person))),
        "accuracy": float((said == truth).mean()),
        "balanced_accuracy": float(np.mean(right)),
        "share_of_contact": float(truth.mean()),
    }
    return {key: round(value, 4) for key, value in found.items()}


class _Classifier(nn.Module):
    def __init__(self, network: GEDDnet) -> None:
        super().__init__()
        self.network = network

    def forward(self, left_eye: torch.Tensor, right_eye: torch.Tensor) -> torch.Tensor:
        return self.network(None, left_eye, right_eye).softmax(1)[:, 1:]


class _Gaze(nn.Module):
    def __init__(self, network: GEDDnet) -> None:
        super().__init__()
        self.network = network

    def forward(self, left_eye: torch.Tensor, right_eye: torch.Tensor) -> torch.Tensor:
        return self.network.gaze(None, left_eye, right_eye)


def model_build(
    name: str,
    network: GEDDnet,
    recipe: DilatedNetRecipe,
    held_out: EyeSamples,
    *,
    trained_on: str,
    licence: str,
) -> ModelBuild:
    """Returns the network as a model, with how it was trained and its figures on ``held_out``.

    The gaze node runs a model of gaze, dilated or not. A model of eye contact is for measurements:
    its output is ``eye_contact`` [N, 1], a probability.
    """
    inputs = input_sizes(network)
    examples = [torch.full((2, 1, *size), 128.0) for size in inputs.values()]
    outputs = {OUTPUT: gaze_port()}
    if recipe.target == EYE_CONTACT:
        onnx = to_onnx(_Classifier(network), examples, tuple(inputs), (EYE_CONTACT,))
        outputs = {
            EYE_CONTACT: Port(
                (None, 1), "float32", "probability of a look into the lens", tolerance=0.02
            )
        }
    elif recipe.dilated:
        onnx = geddnet_onnx(network)
    else:  # padding keeps its normalisation from being merged into the next layer
        onnx = to_onnx(_Gaze(network), examples, tuple(inputs), (OUTPUT,))
    # Painted faces: no picture of a data set is shipped with the model.
    painted = gaze_faces(3, 4, seed=recipe.seed)
    return trained_gaze_build(
        name,
        onnx,
        system="dilated-net",
        task=("gaze" if recipe.target == GAZE else "eye contact")
        + " of one person from both eyes (Dilated-Net)",
        recipe=recipe,
        figures=evaluate(network, held_out, recipe),
        trained_on=trained_on,
        licence=licence,
        inputs={key: crop_port(key, size) for key, size in inputs.items()},
        outputs=outputs,
        reference_inputs={key: getattr(painted, key)[:, None].astype(np.float32) for key in inputs},
        facts={"width": recipe.width, "dilated": recipe.dilated},
    )
