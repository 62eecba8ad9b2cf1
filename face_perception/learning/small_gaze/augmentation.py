"""Random changes of training samples: what real pictures have and rendered ones do not."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch.nn import functional

# Standard deviations of the errors of landmarks: turn (radians), size, and place of a crop (share
# of its half width). The mesh of a person errs alike in both eyes, and less so in each.
_BOTH, _EACH = (0.03, 0.05, 0.035), (0.02, 0.025, 0.02)
# Errors of the measures: what the mesh tells of real people differs from person to person. The
# network does not take the first two.
_ERRORS = torch.tensor([0.0, 0.0, 0.07, 0.04, 0.012, 0.010, 0.03])

Eyes: TypeAlias = torch.Tensor  # [N, 1, 32, 48], gray levels of about -1 to 1


def changed_measures(measures: torch.Tensor) -> torch.Tensor:
    """Adds errors to the measures [N, 7]."""
    return measures + _ERRORS * torch.randn_like(measures)


def changed_eyes(left: Eyes, right: Eyes) -> tuple[Eyes, Eyes]:
    """Changes place, tone, light, sharpness and noise of both eyes, partly alike."""
    count = len(left)
    both = torch.randn(count, 4)
    eyes = []
    for eye, side in ((left, 1.0), (right, -1.0)):
        each = torch.randn(count, 4)
        turn, size = (
            side * _BOTH[0] * both[:, 0] + _EACH[0] * each[:, 0],
            torch.exp(_BOTH[1] * both[:, 1] + _EACH[1] * each[:, 1]),
        )
        right_by = side * _BOTH[2] * both[:, 2] + _EACH[2] * each[:, 2]
        down_by = _BOTH[2] * both[:, 3] + _EACH[2] * each[:, 3]
        eyes.append(_moved(eye, turn, size, right_by, down_by))
    images = _blurred(torch.cat(eyes), torch.rand(count).repeat(2))
    gamma = torch.exp(0.35 * torch.randn(count)).repeat(2).view(-1, 1, 1, 1)
    images = 2 * ((images + 1) / 2).clamp(1e-3, 1) ** gamma - 1
    images = images * (1 + 0.2 * torch.randn(2 * count, 1, 1, 1))
    images = images + 0.15 * torch.randn(2 * count, 1, 1, 1) + _slope(2 * count)
    images = _covered(images)
    noise = 0.10 * torch.rand(count).repeat(2).view(-1, 1, 1, 1)
    images = images + noise * torch.randn_like(images)
    a, b = images.clamp(-1, 1).chunk(2)
    return a, b


def _moved(
    eye: Eyes, turn: torch.Tensor, size: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> Eyes:
    """Turns (radians), resizes and moves (shares of half the width) each picture."""
    aspect = eye.shape[-1] / eye.shape[-2]
    cosine, sine = turn.cos() / size, turn.sin() / size
    rows = [
        torch.stack([cosine, -sine / aspect, x], 1),
        torch.stack([sine * aspect, cosine, y * aspect], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(eye.shape), align_corners=False)
    return functional.grid_sample(eye, grid, padding_mode="border", align_corners=False)


def _blurred(images: Eyes, share: torch.Tensor) -> Eyes:
    """Mixes each picture with a blurred one; ``share`` [N] of 0 to 0.4 leaves it sharp."""
    kernel = torch.tensor([0.06, 0.24, 0.40, 0.24, 0.06])
    kernel = (kernel[:, None] * kernel[None]).view(1, 1, 5, 5)
    soft = functional.conv2d(functional.pad(images, (2, 2, 2, 2), mode="replicate"), kernel)
    mixed = ((share - 0.4) / 0.6).clamp(0, 1).view(-1, 1, 1, 1)
    # The remainder beyond 1 would sharpen: some cameras do.
    sharper = torch.where(share < 0.15, -0.6, 0.0).view(-1, 1, 1, 1)
    return images + (mixed + sharper) * (soft - images)


def _slope(count: int) -> torch.Tensor:
    """Light from one side: a slope of gray levels over each picture."""
    x, y = torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 32)
    strength = 0.25 * torch.randn(2, count, 1, 1, 1)
    return strength[0] * x.view(1, 1, 1, -1) + strength[1] * y.view(1, 1, -1, 1)


def _covered(images: Eyes) -> Eyes:
    """Draws a bar across some pictures, dark or bright: a rim, a hair, a reflection."""
    count = len(images)
    x, y = (
        torch.linspace(-1.5, 1.5, 48).view(1, 1, 1, -1),
        torch.linspace(-1, 1, 32).view(1, 1, -1, 1),
    )
    angle = math.pi * torch.rand(count, 1, 1, 1)
    away = x * angle.cos() + y * angle.sin() - (2 * torch.rand(count, 1, 1, 1) - 1)
    bar = (away.abs() < 0.02 + 0.12 * torch.rand(count, 1, 1, 1)).float()
    bar = bar * (torch.rand(count, 1, 1, 1) < 0.25) * (0.4 + 0.6 * torch.rand(count, 1, 1, 1))
    level = 2 * torch.rand(count, 1, 1, 1) - 1
    return images + bar * (level - images)
