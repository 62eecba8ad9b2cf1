"""Random changes of training samples: what real pictures have and rendered ones do not."""

from __future__ import annotations

import torch

from face_perception.learning.image_changes import (
    Images,
    blurred,
    covered,
    in_other_tones,
    lit_from_a_side,
    moved,
    noisy,
)

# Standard deviations of the errors of landmarks: turn (radians), size, and place of a crop (share
# of its half width). The mesh of a person errs alike in both eyes, and less so in each.
_BOTH, _EACH = (0.03, 0.05, 0.035), (0.02, 0.025, 0.02)
# Errors of the measures: what the mesh tells of real people differs from person to person. The
# network does not take the first two.
_ERRORS = torch.tensor([0.0, 0.0, 0.07, 0.04, 0.012, 0.010, 0.03])


def changed_measures(measures: torch.Tensor) -> torch.Tensor:
    """Adds errors to the measures [N, 7]."""
    return measures + _ERRORS * torch.randn_like(measures)


def changed_eyes(left: Images, right: Images) -> tuple[Images, Images]:
    """Changes place, tone, light, sharpness and noise of both eyes [N, 1, 32, 48], partly alike."""
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
        eyes.append(moved(eye, turn, size, right_by, down_by))
    images = blurred(torch.cat(eyes), torch.rand(count).repeat(2))
    gamma = torch.exp(0.35 * torch.randn(count)).repeat(2)
    images = covered(lit_from_a_side(in_other_tones(images, gamma, contrast=0.2, level=0.15)))
    images = noisy(images, 0.10 * torch.rand(count).repeat(2))
    a, b = images.clamp(-1, 1).chunk(2)
    return a, b
