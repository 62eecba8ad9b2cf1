"""Exports the small gaze network as an ONNX graph for the gaze node."""

from __future__ import annotations

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


class GazeGraph(nn.Module):
    """The network for inference, with the inputs and outputs of the gaze node."""

    def __init__(self, network: SmallGaze) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, left_eye: torch.Tensor, right_eye: torch.Tensor, measures: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.network(small_eyes(left_eye), small_eyes(right_eye), measures)
        # The gaze node takes yaw as the published networks write it: positive to the image's left.
        return found.gaze * found.gaze.new_tensor([1.0, -1.0]), sigma_of(found.log_sigma)


def small_gaze_onnx(network: SmallGaze) -> bytes:
    """Returns the ONNX file: crops [N, 1, 64, 96] with gray levels from 0 to 255, and measures.

    Outputs are ``gaze`` [N, 2], pitch and yaw (positive to the image's left), and ``sigma`` [N, 2],
    radians.
    """
    examples = [torch.full((2, 1, *EYE_SIZE), 128.0)] * 2 + [torch.zeros(2, len(GAZE_MEASURES))]
    return to_onnx(GazeGraph(network), examples, INPUTS, OUTPUTS)
