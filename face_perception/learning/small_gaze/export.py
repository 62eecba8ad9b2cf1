"""Exports the small gaze network as an ONNX graph for the gaze node."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from face_perception.gaze import GAZE_MEASURES
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.small_gaze.network import (
    EYE_SIZE,
    SmallGaze,
    sigma_of,
    small_eyes,
)

INPUTS, OUTPUTS = ("left_eye", "right_eye", "measures"), ("gaze", "sigma")


@dataclass(frozen=True, slots=True)
class RealPeople:
    """What the graph does for real people, who differ from the rendered ones of the training.

    Gaze = ``share`` * network + (1 - ``share``) * geometric estimate, for pitch and for yaw; then
    ``pitch_deg`` is added to the pitch. The stated standard deviations of pitch and yaw are
    multiplied by ``sigma``.
    """

    share: tuple[float, float] = (1.0, 1.0)
    pitch_deg: float = 0.0
    sigma: tuple[float, float] = (1.0, 1.0)


class GazeGraph(nn.Module):
    """The network for inference, with the inputs and outputs of the gaze node."""

    share: torch.Tensor
    signs: torch.Tensor
    shift: torch.Tensor
    sigma: torch.Tensor

    def __init__(self, network: SmallGaze, real: RealPeople) -> None:
        super().__init__()
        self.network = network
        # The gaze node takes yaw as the published networks write it: positive to the image's left.
        self.register_buffer("signs", torch.tensor([1.0, -1.0]))
        self.register_buffer("share", torch.tensor(real.share))
        self.register_buffer("shift", torch.tensor([math.radians(real.pitch_deg), 0.0]))
        self.register_buffer("sigma", torch.tensor(real.sigma))

    def forward(
        self, left_eye: torch.Tensor, right_eye: torch.Tensor, measures: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.network(small_eyes(left_eye), small_eyes(right_eye), measures)
        gaze = self.share * found.gaze + (1 - self.share) * measures[:, :2]
        return (gaze + self.shift) * self.signs, sigma_of(found.log_sigma) * self.sigma


def small_gaze_onnx(network: SmallGaze, real: RealPeople) -> bytes:
    """Returns the ONNX file: crops [N, 1, 64, 96] with gray levels from 0 to 255, and measures.

    Outputs are ``gaze`` [N, 2], pitch and yaw (positive to the image's left), and ``sigma`` [N, 2],
    radians.
    """
    examples = [torch.full((2, 1, *EYE_SIZE), 128.0)] * 2 + [torch.zeros(2, len(GAZE_MEASURES))]
    return to_onnx(GazeGraph(network, real), examples, INPUTS, OUTPUTS)
