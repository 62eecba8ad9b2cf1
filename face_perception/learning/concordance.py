"""The concordance correlation coefficient (Lin 1989), of which VA losses are made."""

from __future__ import annotations

import torch


def ccc(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """CCC of two tensors of the same shape, over all of their values, at least two: a scalar, 1 at
    best.

    With unbiased deviations, as the published losses have it; metrics on whole data sets use the
    population's.
    """
    p, t = prediction.flatten(), truth.flatten()
    covariance = torch.sum((p - p.mean()) * (t - t.mean())) / (len(p) - 1)
    # Not by way of deviations: where all values are equal, theirs have no gradient.
    return 2 * covariance / (p.var() + t.var() + (p.mean() - t.mean()) ** 2)


def mimamo_loss(
    prediction: torch.Tensor, truth: torch.Tensor, *, over_time: bool = True
) -> torch.Tensor:
    """MIMAMO-Net's loss of valence and arousal [B, T, 2]: minus the CCC of each, summed.

    The released code takes the second axis for the labels, so that it is the CCC of the first two
    *images*, valence and arousal together; ``over_time`` false does the same.
    """
    axes = prediction.unbind(-1), truth.unbind(-1)
    if not over_time:
        axes = prediction[:, :2].unbind(1), truth[:, :2].unbind(1)
    return -sum((ccc(p, t) for p, t in zip(*axes, strict=True)), start=torch.zeros(()))
