"""Builds the ONNX models of the multitask networks, with their cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from face_perception.inference import ModelBuild, Port
from face_perception.learning.multitask.network import (
    AU,
    HEAD_FEATURES,
    HEADS,
    VA_BINS,
    Logits,
    Multitask,
    RecurrentMultitask,
    average_logits,
    average_probabilities,
)
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.resnet50_ferplus import SubtractMean
from face_perception.learning.sample_faces import sample_faces
from face_perception.types import EXPRESSIONS

SIZE = 112
# The published transform enlarges an aligned face of SIZE to ENLARGED and cuts its middle SIZE.
ENLARGED = 134

LICENCE = "MIT (the published code); the weights' own terms are their publisher's"
PUBLISHED_EXPRESSIONS = (
    *("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
)

# Published with the weights: probability at which each unit is reported as present.
CNN_THRESHOLDS = (
    *(0.1448537, 0.03918985, 0.13766725, 0.02652811),
    *(0.40589422, 0.15572545, 0.04808964, 0.10848708),
)
# The same for the CNN-RNN, by number of frames in a window.
RNN_THRESHOLDS = {
    32: (
        *(0.4253935, 0.02641966, 0.1119782, 0.02978198),
        *(0.17256933, 0.06369855, 0.07433069, 0.13828614),
    ),
    16: (
        *(0.30485213, 0.09509478, 0.59577084, 0.4417419),
        *(0.4396544, 0.0452404, 0.05204154, 0.0633798),
    ),
    8: (
        *(0.4365209, 0.10177602, 0.2649502, 0.22586018),
        *(0.3772219, 0.07532539, 0.07667687, 0.04306327),
    ),
}

AVERAGES: dict[str, Callable[[Sequence[Logits]], Logits]] = {
    "logits": average_logits,
    "probabilities": average_probabilities,
}

# Largest batch and window that TensorRT engines are built for.
MOST_SEQUENCES, MOST_FRAMES = 8, 64

_FEATURES = len(HEADS) * HEAD_FEATURES
_FACE = Port(
    (None, 3, SIZE, SIZE),
    "float32",
    "aligned face, RGB in [0, 255], enlarged to 134 pixels and cut to its middle 112",
)
# Output -> size, meaning, tolerance. 0.1 in a logit changes a probability by at most 0.025.
_LOGITS = {
    "au_logits": (HEADS["au"], "of each action unit, order in facts", 0.1),
    "expression_logits": (HEADS["expression"], "of each expression, order in facts", 0.1),
    "va_logits": (HEADS["va"], "of 20 bins of valence, then 20 of arousal", 0.1),
}
_FEATURES_MEANING = "features of the heads: 128 of expression, 128 of AU, 128 of VA"


class _Students(nn.Module):
    """Faces -> AU, expression and VA logits; with a single student also its features."""

    def __init__(self, students: Sequence[Multitask], average: str) -> None:
        super().__init__()
        self.students = nn.ModuleList(students)
        self.average = AVERAGES[average]

    def forward(self, face: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if len(self.students) > 1:
            return _in_order(self.average([student(face) for student in self.students]))
        features = self.students[0].features(face)
        return (*_in_order(self.students[0].logits(features)), features)


class _Trunk(nn.Module):
    def __init__(self, network: RecurrentMultitask) -> None:
        super().__init__()
        self.network = network

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        return self.network.backbone.features(face)


class _OverTime(nn.Module):
    def __init__(self, network: RecurrentMultitask) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return _in_order(self.network.over_time(features))


def cnn_build(
    name: str,
    students: Sequence[Multitask],
    origin: str,
    *,
    average: str = "logits",
    thresholds: Sequence[float] = CNN_THRESHOLDS,
    licence: str = LICENCE,
    facts: Mapping[str, Any] | None = None,
) -> ModelBuild:
    """Returns a model that runs one student, or averages several (``average`` is a key of
    AVERAGES).

    ``facts`` are added to the card's facts, for example how the network was trained.
    """
    outputs = {name_: _logits_port(name_, (None,)) for name_ in _LOGITS}
    if len(students) == 1:
        outputs["features"] = _features_port((None,), tolerance=0.05)
    network = SubtractMean(_Students(students, average))
    return ModelBuild(
        name=name,
        onnx=to_onnx(network, [torch.zeros(2, 3, SIZE, SIZE)], ["face"], list(outputs)),
        task="action units, expression, valence and arousal of an aligned face",
        licence=licence,
        origin=origin,
        inputs={"face": _FACE},
        outputs=outputs,
        facts={
            "system": "multitask",
            "students": len(students),
            **({"average": average} if len(students) > 1 else {"features": list(HEADS)}),
            **_of_faces(),
            **_of_decoding(thresholds),
            **(facts or {}),
        },
        reference_inputs={"face": sample_faces(SIZE, 4)},
    )


def trunk_build(name: str, network: RecurrentMultitask, origin: str) -> ModelBuild:
    """Returns the model of the trunk of a CNN-RNN: features of the heads, for each face."""
    return ModelBuild(
        name=name,
        onnx=to_onnx(
            SubtractMean(_Trunk(network)), [torch.zeros(2, 3, SIZE, SIZE)], ["face"], ["features"]
        ),
        task="features of an aligned face, for the recurrent network of the same checkpoint",
        licence=LICENCE,
        origin=origin,
        inputs={"face": _FACE},
        outputs={"features": _features_port((None,), tolerance=0.05)},
        facts={"system": "multitask-rnn", "features": list(HEADS), **_of_faces()},
        reference_inputs={"face": sample_faces(SIZE, 4)},
    )


def over_time_build(
    name: str,
    network: RecurrentMultitask,
    origin: str,
    *,
    trunk: str,
    window: int = 32,
    thresholds: Sequence[float] | None = None,
) -> ModelBuild:
    """Returns the model of a CNN-RNN's recurrent heads, on sequences of its trunk's features."""
    axes = {name_: {0: "B", 1: "T"} for name_ in ("features", *_LOGITS)}
    return ModelBuild(
        name=name,
        onnx=to_onnx(
            _OverTime(network), [torch.zeros(2, 3, _FEATURES)], ["features"], list(_LOGITS), axes
        ),
        task="action units, expression, valence and arousal over time, of a trunk's features",
        licence=LICENCE,
        origin=origin,
        inputs={
            "features": Port(
                (None, None, _FEATURES),
                "float32",
                _FEATURES_MEANING,
                most=(MOST_SEQUENCES, MOST_FRAMES, _FEATURES),
            )
        },
        outputs={name_: _logits_port(name_, (None, None)) for name_ in _LOGITS},
        facts={
            "system": "multitask-rnn",
            "trunk": trunk,
            "window": window,
            "features": list(HEADS),
            **_of_decoding(thresholds or RNN_THRESHOLDS[window]),
        },
        reference_inputs={"features": _sequences(network)},
    )


def _in_order(logits: Logits) -> tuple[torch.Tensor, ...]:
    return logits["au"], logits["expression"], logits["va"]


def _logits_port(name: str, free: tuple[None, ...]) -> Port:
    size, meaning, tolerance = _LOGITS[name]
    return Port((*free, size), "float32", f"logits {meaning}", tolerance=tolerance)


def _features_port(free: tuple[None, ...], tolerance: float) -> Port:
    # Each head normalises its features: most are below 3.
    return Port(
        (*free, _FEATURES),
        "float32",
        _FEATURES_MEANING,
        tolerance=tolerance,
        relative_tolerance=0.05,
    )


def _of_faces() -> dict[str, Any]:
    return {"enlarged": ENLARGED, "size": SIZE}


def _of_decoding(thresholds: Sequence[float]) -> dict[str, Any]:
    return {
        "au": list(AU),
        "au_thresholds": [float(threshold) for threshold in thresholds],
        "expressions": list(EXPRESSIONS),
        "expressions_published": list(PUBLISHED_EXPRESSIONS),
        "va_values": [float(value) for value in np.linspace(-1, 1, VA_BINS)],
    }


@torch.no_grad()
def _sequences(network: RecurrentMultitask) -> np.ndarray:
    """Returns the trunk's features [2, 8, 384] of two faces that come closer."""
    faces = torch.from_numpy(sample_faces(SIZE, 8)[[0, 2]])
    steps = [SIZE - 2 * k for k in range(8)]
    cut = [faces[:, :, k : k + size, k : k + size] for k, size in enumerate(steps)]
    scaled = [
        nn.functional.interpolate(part, (SIZE, SIZE), mode="bilinear", align_corners=False)
        for part in cut
    ]
    features = SubtractMean(_Trunk(network))(torch.cat(scaled))
    return features.unflatten(0, (len(steps), len(faces))).transpose(0, 1).contiguous().numpy()
