"""Images at several scales, smoothed before they are reduced, as MuseTalk's losses see them.

Source: Siarohin et al., "First Order Motion Model", NeurIPS 2019, and MuseTalk's released code.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = (1.0, 0.5, 0.25, 0.125)
LOSS_SIDE = 224  # pixels of an image in the perceptual and the adversarial losses


def loss_images(images: Tensor) -> Tensor:
    """Returns images [N, C, H, W], resized to [N, C, 224, 224]."""
    size = (LOSS_SIDE, LOSS_SIDE)
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def image_pyramid(images: Tensor, scales: Sequence[float] = SCALES) -> list[Tensor]:
    """Returns the images [N, C, H, W] at each scale; a scale is 1 divided by a whole number."""
    return [_reduced(images, scale) for scale in scales]


def _reduced(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    kernel = _gaussian(scale).to(images)
    channels, reach = images.shape[1], kernel.shape[-1] // 2
    padded = F.pad(images, (reach, reach, reach, reach))
    smooth = F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)
    step = round(1 / scale)
    return smooth[:, :, ::step, ::step]


@functools.cache
def _gaussian(scale: float) -> Tensor:
    """Returns the kernel [1, 1, K, K] that smooths an image before it is reduced to ``scale``."""
    sigma = (1 / scale - 1) / 2
    reach = round(4 * sigma)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = torch.outer(weights, weights)
    return (kernel / kernel.sum())[None, None]
