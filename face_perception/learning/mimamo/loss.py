"""The loss that MIMAMO-Net was trained with."""

from __future__ import annotations

import torch

from face_perception.learning.concordance import ccc


def mimamo_loss(
    prediction: torch.Tensor, truth: torch.Tensor, *, over_time: bool = True
) -> torch.Tensor:
    """Returns minus the sum of the CCCs of valence and arousal, of tensors [B, T, 2].

    With ``over_time`` false, it returns what the released code computes: that code takes the second
    axis for the labels, so that it sums the CCCs of the first two images of each clip.
    """
    axes = prediction.unbind(-1), truth.unbind(-1)
    if not over_time:
        axes = prediction[:, :2].unbind(1), truth[:, :2].unbind(1)
    return -sum((ccc(p, t) for p, t in zip(*axes, strict=True)), start=torch.zeros(()))
