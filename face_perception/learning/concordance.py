"""The concordance correlation coefficient (CCC, Lin 1989) of valence and arousal."""

from __future__ import annotations

import torch


def ccc(prediction: torch.Tensor, truth: torch.Tensor, *, unbiased: bool = True) -> torch.Tensor:
    """Returns the CCC of two tensors of the same shape, over all their values: a scalar, 1 at best.

    Needs at least two values. ``unbiased`` variances are what the published losses use; metrics
    use those of the population.
    """
    p, t = prediction.flatten(), truth.flatten()
    covariance = torch.sum((p - p.mean()) * (t - t.mean())) / (len(p) - unbiased)
    variances = p.var(unbiased=unbiased) + t.var(unbiased=unbiased)
    # Without standard deviations, whose gradient is not defined if all values are equal.
    return 2 * covariance / (variances + (p.mean() - t.mean()) ** 2)
