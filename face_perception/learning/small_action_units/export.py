"""Exports the small model for action units as an ONNX graph."""

from __future__ import annotations

import torch
from torch import nn

from face_perception.faces import ALIGNED_SIDE
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.small_action_units.network import (
    CODES,
    FEATURES,
    GRAY,
    SmallActionUnits,
    gradient_histograms,
    mirror_weights,
)

INPUT, OUTPUT = "face", "intensity"


# Units that are exported, because the model recognises them on real people better than landmarks do
# without a neutral face, or the mean of both does (docs/training.md), and the raw intensities that
# become 0 and 1. 0 is the median of 73 neutral faces (press photographs). 1 is the third quartile
# of faces that contain the unit (peaks of CK+), or at least so high that nine of ten neutral faces
# are below 0.5. Both are of the half of the people on which the recipe was chosen.
REAL_PEOPLE: dict[int, tuple[float, float]] = {
    1: (0.126, 0.285),
    2: (0.108, 0.254),
    4: (0.121, 0.331),
    6: (0.012, 0.180),
    9: (0.087, 0.225),
    15: (0.125, 0.261),
    20: (0.052, 0.111),
    26: (0.179, 0.500),
}


class _Graph(nn.Module):
    """The model for inference: takes aligned faces as ``faces.aligned_face`` cuts them.

    It gives what the network gives, in a quarter of the steps: one convolution makes the small gray
    face, and one linear layer has the scale of the features, the mean over the mirror image and the
    scale of the intensities.
    """

    @torch.no_grad()
    def __init__(self, network: SmallActionUnits) -> None:
        super().__init__()
        self.small = nn.Conv2d(3, 1, 2, stride=2)
        gray = torch.tensor(GRAY).view(1, 3, 1, 1).expand(1, 3, 2, 2)
        self.small.weight = nn.Parameter(gray / 4 / 127.5)
        self.small.bias = nn.Parameter(torch.tensor([-1.0]))
        chosen = [CODES.index(code) for code in REAL_PEOPLE]
        zero, one = torch.tensor(list(REAL_PEOPLE.values()), dtype=torch.float64).T
        weights = (network.output.weight.double() / network.spread)[chosen]
        bias = network.output.bias.double()[chosen] - weights @ network.mean.double()
        weights = (weights + mirror_weights(weights)) / 2
        self.output = nn.Linear(FEATURES, len(chosen))
        self.output.weight = nn.Parameter((weights / (one - zero)[:, None]).float())
        self.output.bias = nn.Parameter(((bias - zero) / (one - zero)).float())

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.output(gradient_histograms(self.small(face)))
        return found


def small_action_units_onnx(network: SmallActionUnits) -> bytes:
    """Returns the ONNX file: RGB faces [N, 3, 112, 112] from 0 to 255, to intensities.

    The intensities [N, 8] are those of ``REAL_PEOPLE``. They may be below 0 or above 1.
    """
    example = torch.full((2, 3, ALIGNED_SIDE, ALIGNED_SIDE), 128.0)
    return to_onnx(_Graph(network), [example], [INPUT], [OUTPUT])
