"""What GEDDnet is trained to make small, as published."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from face_perception.learning.geddnet.network import PER_RADIAN, GEDDnet

# Weight of all squares beside the error, and of the trunk's among them (it is trained already).
_SQUARES = 1e-3
_TRUNK_SQUARES = 1e-2


@dataclass(frozen=True, slots=True)
class GEDDnetLoss:
    """The parts of the training loss, scalars but ``error`` [N]; ``total`` is what is minimised.

    ``error`` is each sample's squared distance in tenths of a radian, ``squares`` half the sum of
    the squares of all kernels and matrices, ``bias`` how far the biases are from cancelling out.
    """

    error: torch.Tensor
    squares: torch.Tensor
    bias: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        return self.error.mean() + _SQUARES * self.squares + self.bias


def geddnet_loss(
    network: GEDDnet, t: torch.Tensor, gaze: torch.Tensor, subject: torch.Tensor | None
) -> GEDDnetLoss:
    """The loss of ``t`` [N, 2], from the network's forward, against ``gaze`` [N, 2], pitch and yaw
    in radians. ``subject`` [N] are rows of ``network.bias`` (mirrored samples in its second half),
    None where the network has no biases.
    """
    estimate = t if subject is None else t + network.bias[subject]
    error = ((estimate - PER_RADIAN * gaze) ** 2).sum(1)
    squares = error.new_zeros(())
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = _TRUNK_SQUARES if name.startswith("trunk.") else 1.0
            squares = squares + weight * module.weight.square().sum() / 2
    bias = error.new_zeros(())
    if network.subjects:
        # Else a part of every gaze could hide in the biases.
        for half in network.bias.split(network.subjects):
            bias = bias + half.mean(0).abs().sum()
    return GEDDnetLoss(error, squares, bias)
