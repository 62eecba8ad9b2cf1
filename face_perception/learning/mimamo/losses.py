"""Losses of MIMAMO-Net: the negative concordance (CCC) of valence and arousal."""

from __future__ import annotations

import torch

from face_perception.learning.concordance import ccc


def per_label_loss(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Returns minus the sum of the CCC of valence and that of arousal, as the paper describes.

    Both tensors are [B, T, 2]. Each CCC is over all frames of the batch.
    """
    return -(ccc(prediction[..., 0], truth[..., 0]) + ccc(prediction[..., 1], truth[..., 1]))


def released_loss(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Returns the loss of the released code, which indexes time instead of the labels.

    It is minus the sum of the CCC of the first and that of the second frame of each clip, with both
    labels mixed; the other frames do not count. Both tensors are [B, T, 2].
    """
    return -(ccc(prediction[:, 0], truth[:, 0]) + ccc(prediction[:, 1], truth[:, 1]))


LOSSES = {"per_label": per_label_loss, "released": released_loss}
