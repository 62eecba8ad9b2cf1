"""Random changes of gray training images [N, 1, H, W]: place, sharpness, light, what covers them.

Rendered people are evenly sharp, evenly lit and uncovered; real pictures are not.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch.nn import functional

Images: TypeAlias = torch.Tensor  # [N, 1, H, W], gray levels of about -1 to 1


def moved(
    images: Images, turn: torch.Tensor, size: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> Images:
    """Turns (radians), resizes and moves (shares of half the width) each image; all are [N].

    The border is repeated where nothing is known.
    """
    aspect = images.shape[-1] / images.shape[-2]
    cosine, sine = turn.cos() / size, turn.sin() / size
    rows = [
        torch.stack([cosine, -sine / aspect, x], 1),
        torch.stack([sine * aspect, cosine, y * aspect], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def blurred(images: Images, share: torch.Tensor) -> Images:
    """Sharpens or blurs each image: ``share`` [N] below 0.15 sharpens, above 0.4 blurs, up to 1."""
    kernel = torch.tensor([0.06, 0.24, 0.40, 0.24, 0.06])
    kernel = (kernel[:, None] * kernel[None]).view(1, 1, 5, 5)
    soft = functional.conv2d(functional.pad(images, (2, 2, 2, 2), mode="replicate"), kernel)
    mixed = ((share - 0.4) / 0.6).clamp(0, 1).view(-1, 1, 1, 1)
    # A negative share of the blurred image sharpens: some cameras do.
    sharper = torch.where(share < 0.15, -0.6, 0.0).view(-1, 1, 1, 1)
    return images + (mixed + sharper) * (soft - images)


def in_other_tones(images: Images, gamma: torch.Tensor, contrast: float, level: float) -> Images:
    """Changes gamma ([N]), contrast and brightness (their standard deviations) of each image."""
    images = 2 * ((images + 1) / 2).clamp(1e-3, 1) ** gamma.view(-1, 1, 1, 1) - 1
    images = images * (1 + contrast * torch.randn(len(images), 1, 1, 1))
    return images + level * torch.randn(len(images), 1, 1, 1)


def lit_from_a_side(images: Images) -> Images:
    """Adds a random slope of gray levels to each image."""
    x, y = _axes(images, 1.0)
    strength = 0.25 * torch.randn(2, len(images), 1, 1, 1)
    return images + (strength[0] * x + strength[1] * y)


def covered(images: Images) -> Images:
    """Draws a bar across some images, dark or bright: a rim, a hair, a reflection."""
    count = len(images)
    x, y = _axes(images, images.shape[-1] / images.shape[-2])
    angle = math.pi * torch.rand(count, 1, 1, 1)
    away = x * angle.cos() + y * angle.sin() - (2 * torch.rand(count, 1, 1, 1) - 1)
    bar = (away.abs() < 0.02 + 0.12 * torch.rand(count, 1, 1, 1)).float()
    bar = bar * (torch.rand(count, 1, 1, 1) < 0.25) * (0.4 + 0.6 * torch.rand(count, 1, 1, 1))
    level = 2 * torch.rand(count, 1, 1, 1) - 1
    return images + bar * (level - images)


def noisy(images: Images, strength: torch.Tensor) -> Images:
    """Adds normal noise of the standard deviation ``strength`` [N]."""
    return images + strength.view(-1, 1, 1, 1) * torch.randn_like(images)


def _axes(images: Images, right: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates of the pixels: from -``right`` to ``right``, and from -1 (top) to 1."""
    height, width = images.shape[-2:]
    x, y = torch.linspace(-right, right, width), torch.linspace(-1, 1, height)
    return x.view(1, 1, 1, -1), y.view(1, 1, -1, 1)
