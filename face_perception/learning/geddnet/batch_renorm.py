"""Batch renormalisation as in TensorFlow 1 (``batch_normalization(..., renorm=True)``).

It has no gain, does not clip, and keeps five moving statistics.
"""

from __future__ import annotations

import torch
from torch import nn


class BatchRenorm(nn.Module):
    """Normalises [N, C] or [N, C, H, W] per channel and adds a learned ``beta`` [C].

    Inference mode uses ``moving_mean`` and ``moving_variance``. Training mode uses the mean and
    standard deviation of the batch, corrected towards the running estimates (``renorm_mean``,
    ``renorm_stddev``), so that both modes agree on average. No gradient flows through the
    correction. Each forward pass in training mode moves the five statistics by ``1 - momentum``;
    ``moving_variance`` follows from ``moving_stddev``. Variances are the biased ones of the batch.
    Source: Ioffe 2017, arXiv 1702.03275, and the behaviour of TensorFlow 1.15.

    A layer that both eyes share gets both in one batch, as ``groups``. TensorFlow does not define
    whether one group reads the statistics before or after another group moves them. Here all groups
    read first, so that no result depends on the order. With ``reads_moved``, a group reads the
    ``renorm_mean`` that later groups have moved already, as in a recorded training step of the
    published graph; tests compare with that step.
    """

    moving_mean: torch.Tensor
    moving_variance: torch.Tensor
    moving_stddev: torch.Tensor
    renorm_mean: torch.Tensor
    renorm_stddev: torch.Tensor

    def __init__(self, channels: int, *, epsilon: float = 1e-3, momentum: float = 0.99) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.momentum = momentum
        self.reads_moved = False
        self.beta = nn.Parameter(torch.zeros(channels))
        for name in ("moving_mean", "renorm_mean"):
            self.register_buffer(name, torch.zeros(channels))
        for name in ("moving_variance", "moving_stddev", "renorm_stddev"):
            self.register_buffer(name, torch.ones(channels))

    def forward(self, x: torch.Tensor, groups: int = 1) -> torch.Tensor:
        """Returns ``x`` normalised, in the same shape.

        The batch consists of ``groups`` equal parts; training mode normalises each separately.
        """
        if not self.training:
            scale, shift = self.affine()
        else:
            scale, shift = self._of_batch(x.unflatten(0, (groups, -1)))
            rows = len(x) // groups
            scale, shift = scale.repeat_interleave(rows, 0), shift.repeat_interleave(rows, 0)
        shape = (-1, self.beta.numel()) + (1,) * (x.dim() - 2)
        return x * scale.view(shape) + shift.view(shape)

    def affine(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (scale, shift), both [C]: inference mode computes ``x * scale + shift``."""
        scale = (self.moving_variance + self.epsilon).rsqrt()
        return scale, self.beta - self.moving_mean * scale

    def _of_batch(self, parts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (scale, shift) of each group, both [groups, C], and moves the statistics."""
        axes = [axis for axis in range(parts.dim()) if axis not in (0, 2)]
        mean = parts.mean(axes)
        deviation = (parts.var(axes, unbiased=False) + self.epsilon).sqrt()
        with torch.no_grad():
            floor = self.renorm_stddev.clamp_min(self.epsilon**0.5)
            r = deviation / floor
            d = (mean - self.renorm_mean) / floor
            for part in reversed(range(len(parts))):
                if self.reads_moved:
                    d[part] = (mean[part] - self.renorm_mean) / floor
                self._move(mean[part], deviation[part])
        scale = r / deviation
        return scale, self.beta + d - mean * scale

    def _move(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        share = 1 - self.momentum
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_stddev, deviation),
            (self.renorm_mean, mean),
            (self.renorm_stddev, deviation),
        ):
            moving.lerp_(value, share)
        self.moving_variance.copy_((self.moving_stddev**2 - self.epsilon).clamp_min(0))
