"""Builds the ONNX models of MIMAMO-Net, with their cards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from face_perception.inference import ModelBuild, Port
from face_perception.learning.mimamo.network import CHANNELS, PHASES, SIZES, TwoStream
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.resnet50_ferplus import FEATURES, SubtractMean
from face_perception.learning.sample_faces import sample_faces

SIZE = 224
# The published transform enlarges an aligned face of 112 to ENLARGED and cuts its middle SIZE.
ENLARGED = 256

# Number of frames in a clip, and frame rate, with which the published weights were trained.
WINDOW = 64
RATE_HZ = 30

LICENCE = "MIT (the published code); the weights' own terms are their publisher's"

# Largest batch that TensorRT engines are built for.
_MOST_CLIPS = 8

_NAMES = ("appearance", "phase0", "phase1")
_OUTPUT = "valence_arousal"
_MEANING = (
    "features of each frame's face, from the model that the facts name",
    "phase differences of the finer band: two orientations of 12 differences, radians",
    "phase differences of the coarser band, in the same layout",
)


def appearance_build(
    name: str,
    network: nn.Module,
    origin: str,
    *,
    features: int = FEATURES,
    licence: str = LICENCE,
) -> ModelBuild:
    """Returns the model of a trunk, which takes faces minus the mean: features of each face."""
    return ModelBuild(
        name=name,
        onnx=to_onnx(
            SubtractMean(network), [torch.zeros(2, 3, SIZE, SIZE)], ["face"], ["features"]
        ),
        task="features of an aligned face, for MIMAMO-Net",
        licence=licence,
        origin=origin,
        inputs={
            "face": Port(
                (None, 3, SIZE, SIZE),
                "float32",
                "aligned face, RGB in [0, 255], enlarged to 256 pixels and cut to its middle 224",
            )
        },
        outputs={
            "features": Port(
                (None, features),
                "float32",
                "pooled features",
                tolerance=0.1,
                relative_tolerance=0.05,
            )
        },
        facts={"system": "mimamo", "enlarged": ENLARGED, "size": SIZE},
        reference_inputs={"face": sample_faces(SIZE, 4)},
    )


def two_stream_build(
    name: str,
    network: TwoStream,
    origin: str,
    *,
    appearance: str,
    trunk: Callable[[np.ndarray], np.ndarray],
    window: int = WINDOW,
    licence: str = LICENCE,
) -> ModelBuild:
    """Returns the model of both streams and the recurrence that the network is set to.

    ``appearance`` is the name of the model of the appearance features, and ``trunk`` computes them:
    faces [N, 3, 224, 224], RGB, 0 to 255 -> [N, features]. ``window`` is the number of frames in a
    clip that the network was trained on.
    """
    shapes = [(network.appearance,), *((CHANNELS, size, size) for size in SIZES)]
    over_time = network.recurrence == "time"
    axes = {name_: {0: "B", 1: "T"} for name_ in (*_NAMES, _OUTPUT)}
    return ModelBuild(
        name=name,
        onnx=to_onnx(
            network, [torch.zeros(2, 3, *shape) for shape in shapes], _NAMES, [_OUTPUT], axes
        ),
        task="valence and arousal of each frame of a clip, from appearance and motion; recurrence "
        + ("over time" if over_time else "over the clips of a batch, as released"),
        licence=licence,
        origin=origin,
        inputs={
            name_: Port(
                (None, None, *shape), "float32", meaning, most=(_MOST_CLIPS, window, *shape)
            )
            for name_, shape, meaning in zip(_NAMES, shapes, _MEANING, strict=True)
        },
        outputs={
            _OUTPUT: Port(
                (None, None, 2), "float32", "valence and arousal, about [-1, 1]", tolerance=0.02
            )
        },
        facts={
            "system": "mimamo",
            "recurrence": network.recurrence,
            "appearance": appearance,
            "window": window,
            "rate_hz": RATE_HZ,
            "phase_differences": PHASES,
            "phase_sizes": list(SIZES),
        },
        reference_inputs=_clips(trunk),
    )


def features_by(network: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from faces [N, 3, 224, 224], RGB, 0 to 255, to their features."""

    def features(faces: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = SubtractMean(network)(torch.from_numpy(faces)).numpy()
        return found

    return features


def _clips(
    trunk: Callable[[np.ndarray], np.ndarray], clips: int = 2, frames: int = 4
) -> dict[str, np.ndarray]:
    """Returns appearance features of real faces, and smooth noise as large as phase differences."""
    features = trunk(sample_faces(SIZE, clips * frames))
    reference_inputs = {"appearance": features.reshape(clips, frames, -1)}
    random = torch.Generator().manual_seed(1)
    for name, size in zip(_NAMES[1:], SIZES, strict=True):
        coarse = 0.5 * torch.randn(clips * frames, CHANNELS, 6, 6, generator=random)
        field = nn.functional.interpolate(coarse, (size, size), mode="bilinear")
        field = (field * 256).round() / 256  # rounded values compress well
        reference_inputs[name] = field.unflatten(0, (clips, frames)).numpy()
    return reference_inputs
