"""The published training loss of GEDDnet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from face_perception.learning.geddnet.network import PER_RADIAN, GEDDnet

# Weight of the squared weights in the loss, and relative weight of those of the pretrained trunk.
SQUARES = 1e-3
_TRUNK_SQUARES = 1e-2


@dataclass(frozen=True, slots=True)
class GEDDnetLoss:
    """The parts of the training loss; ``total`` is minimised.

    ``error`` [N] is each sample's squared distance in tenths of a radian. ``squares`` is half the
    sum of the squares of all kernels and matrices. ``bias`` says how far the mean of the subjects'
    biases is from 0. The last two are scalars.
    """

    error: torch.Tensor
    squares: torch.Tensor
    bias: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        return self.error.mean() + SQUARES * self.squares + self.bias


def geddnet_loss(
    network: GEDDnet, t: torch.Tensor, gaze: torch.Tensor, subject: torch.Tensor | None
) -> GEDDnetLoss:
    """Returns the loss of a batch.

    ``t`` [N, 2] is the output of the network's forward pass, ``gaze`` [N, 2] the true pitch and yaw
    in radians. ``subject`` [N] are rows of ``network.bias`` (its second half is for mirrored
    samples), or None if the network has no biases.
    """
    estimate = t if subject is None else t + network.bias[subject]
    error = ((estimate - PER_RADIAN * gaze) ** 2).sum(1)
    squares = squared_weights(network)
    bias = error.new_zeros(())
    if network.subjects:
        # Without this term, a constant part of every gaze could move into the biases.
        for half in network.bias.split(network.subjects):
            bias = bias + half.mean(0).abs().sum()
    return GEDDnetLoss(error, squares, bias)


def squared_weights(network: GEDDnet) -> torch.Tensor:
    """Returns half the sum of the squares of all kernels and matrices, a scalar.

    Those of the pretrained trunk count a hundredth.
    """
    squares = torch.zeros((), device=network.output.weight.device)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = _TRUNK_SQUARES if name.startswith("trunk.") else 1.0
            squares = squares + weight * module.weight.square().sum() / 2
    return squares
