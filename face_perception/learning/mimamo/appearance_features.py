"""Appearance features for the recipe of MIMAMO-Net: of a model, or of pixels if none is at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from face_perception.inference import ModelBuild, ModelError, load
from face_perception.learning.mimamo.export import SIZE, appearance_build, features_by

PIXELS = "pixels"
_GRID = 14


class PixelAppearance(nn.Module):
    """Faces [N, 3, 224, 224] minus the mean -> mean colours of 14x14 blocks [N, 588], about 1.

    It stands in for the ResNet-50 of FER+, whose weights are not part of this package.
    """

    features = 3 * _GRID**2

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(face, SIZE // _GRID).flatten(1) / 64


@dataclass(frozen=True, slots=True)
class AppearanceFeatures:
    """Computes appearance features.

    ``compute`` maps faces [N, 3, 224, 224], RGB, 0 to 255, to features [N, ``features``].
    ``revision`` changes with the network. ``model`` is the name of its installed model; empty if
    ``build`` has to make one.
    """

    compute: Callable[[np.ndarray], np.ndarray]
    features: int
    revision: str
    model: str = ""

    def build(self, name: str) -> ModelBuild:
        """Returns the model of pixel features under a name."""
        return appearance_build(
            name,
            PixelAppearance(),
            "mean colours of blocks of pixels, without weights",
            features=self.features,
            licence="Apache-2.0",
        )


def load_appearance_features(name: str) -> AppearanceFeatures:
    """Returns ``pixels``, or the installed model of a name, such as ``mimamo_appearance``.

    Raises ModelError if there is no such model or it does not take a face and return features.
    """
    if name == PIXELS:
        return AppearanceFeatures(features_by(PixelAppearance()), PixelAppearance.features, PIXELS)
    model = load(name)
    face, found = model.inputs.get("face"), model.outputs.get("features")
    count = found.shape[-1] if found is not None and len(found.shape) == 2 else None
    if face is None or face.shape != (None, 3, SIZE, SIZE) or len(model.inputs) != 1 or not count:
        raise ModelError(
            f"model {name} does not take face [N, 3, {SIZE}, {SIZE}] and return features [N, F]: "
            f"use {PIXELS}, or mimamo_appearance of `face-perception import mimamo`"
        )

    def compute(faces: np.ndarray) -> np.ndarray:
        return model.infer({"face": faces})["features"]

    return AppearanceFeatures(compute, count, model.card.sha256, model.card.name)
