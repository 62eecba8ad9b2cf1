"""Building blocks of the latent-diffusion autoencoder and UNet.

Parameters are named as in the published files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32
_LEAST = 4  # channels in a group


def group_norm(channels: int, eps: float) -> nn.GroupNorm:
    """Returns the group norm of ``channels``: 32 groups, as published, or fewer for narrow layers.

    Each group has at least four channels, as in the narrowest published layer: a group of one would
    remove the mean of its channel. ``channels`` must be a multiple of 4.
    """
    groups = GROUPS
    while channels % groups or channels // groups < _LEAST:
        groups //= 2
    return nn.GroupNorm(groups, channels, eps)


class PreciseGroupNorm(nn.GroupNorm):
    """Group norm that is computed with means of means, for exported graphs.

    As one operator over 250 000 values it is off by 4e-4 in ONNX Runtime if an image is mostly
    black.
    """

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = (int(size) for size in x.shape[1:])
        y = x.reshape(-1, self.num_groups, channels // self.num_groups, height, width)
        y = y - _mean(y)
        variance = _mean(y * y)
        y = (y / torch.sqrt(variance + self.eps)).reshape(-1, channels, height, width)
        return y * self.weight[:, None, None] + self.bias[:, None, None]


def _mean(x: Tensor) -> Tensor:
    for axis in (4, 3, 2):
        x = x.mean(dim=axis, keepdim=True)
    return x


def use_precise_norms(module: nn.Module) -> None:
    """Replaces every group norm in ``module`` by a ``PreciseGroupNorm`` with the same weights."""
    for inner in module.modules():
        if type(inner) is nn.GroupNorm:
            inner.__class__ = PreciseGroupNorm


class ResnetBlock(nn.Module):
    """[N, C, H, W] -> [N, K, H, W]: two normalised convolutions and a shortcut.

    With ``time_channels``, the embedding of the time step is added between the two.
    """

    def __init__(self, inputs: int, outputs: int, *, eps: float, time_channels: int = 0) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        if time_channels:
            self.time_emb_proj = nn.Linear(time_channels, outputs)
        self.norm2 = group_norm(outputs, eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        if time is not None:
            y = y + self.time_emb_proj(F.silu(time))[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class Downsample(nn.Module):
    """Halves height and width. ``one_sided``: pads at the right and bottom only (autoencoder)."""

    def __init__(self, channels: int, *, one_sided: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=0 if one_sided else 1)
        self._one_sided = one_sided

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self._one_sided else x)


class Upsample(nn.Module):
    """Doubles height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Returns scaled dot-product attention of [N, Q, C] to [N, K, C] with ``heads`` heads.

    An exported graph gets basic operators, because the exporter adds needless casts to PyTorch's
    own function. That function is faster, and saves the weights [Q, K] of each head in training.
    """
    batch, _, channels = query.shape
    depth = channels // heads

    def split(x: Tensor) -> Tensor:
        return x.reshape(batch, -1, heads, depth).transpose(1, 2)

    if not torch.onnx.is_in_onnx_export():
        found = F.scaled_dot_product_attention(split(query), split(key), split(value))
        return found.transpose(1, 2).reshape(batch, -1, channels)
    weights = torch.softmax(split(query * depth**-0.5) @ split(key).transpose(-1, -2), dim=-1)
    return (weights @ split(value)).transpose(1, 2).reshape(batch, -1, channels)
