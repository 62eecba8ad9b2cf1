"""The small model for action units: histograms of gradients of a face, and a linear layer.

Histograms of oriented gradients (Dalal and Triggs, "Histograms of oriented gradients for human
detection", CVPR 2005) change little with light, skin and texture, in which rendered people differ
from real ones. Only the linear layer is learned.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from face_perception.faces import ALIGNED_SIDE

# What a rendered face can show (``synthesis.rendered.expression.FACS``), without 5: to have eyes as
# wide as people's, rendered faces raise the lids a little; and without 29, 43 and 45.
CODES = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 25, 26, 27, 28)
SIDE = ALIGNED_SIDE // 2  # of the image that the model sees, pixels
# A cell of a histogram has 2x2 blocks of _BLOCK pixels on each side, and shares them with the next.
_DIRECTIONS, _BLOCK = 8, 4
_CELLS = SIDE // _BLOCK - 1
FEATURES = _DIRECTIONS * _CELLS * _CELLS
# Gray levels of red, green and blue (ITU-R BT.601).
GRAY = (0.299, 0.587, 0.114)
# Added to contrasts, so that flat parts do not count: of a face (gray levels from -1 to 1), and of
# the gradients in 3x3 cells (standard deviations of the gray levels of the face).
_FLAT_FACE, _FLAT_CELLS = 0.04, 0.03


def _gradient_kernels() -> torch.Tensor:
    """Returns the kernels [K, 1, 3, 3] of the gradients in each direction."""
    kernels = torch.zeros(_DIRECTIONS, 1, 3, 3)
    for k in range(_DIRECTIONS):
        angle = 2 * math.pi * k / _DIRECTIONS
        kernels[k, 0, 1, 2], kernels[k, 0, 2, 1] = math.cos(angle), math.sin(angle)
    return kernels - kernels.flip(-1, -2)


_KERNELS = _gradient_kernels()


class SmallActionUnits(nn.Module):
    """Takes what ``small_faces`` returns, [N, 1, 56, 56]; returns intensities [N, 20].

    They may be below 0 or above 1. They are the mean of those of the face and its mirror image.
    ``mean`` and ``spread`` [F] bring the features to about 0 and 1.
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(FEATURES, len(CODES))
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("spread", torch.ones(FEATURES))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        both = gradient_histograms(torch.cat([faces, faces.flip(-1)]))
        one, mirrored = self.output((both - self.mean) / self.spread).chunk(2)
        return (one + mirrored) / 2


def small_faces(aligned: torch.Tensor) -> torch.Tensor:
    """Returns RGB faces [N, 3, 112, 112], 0 to 255, as gray ones [N, 1, 56, 56], -1 to 1."""
    gray = (aligned * aligned.new_tensor(GRAY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return functional.avg_pool2d(gray, 2) / 127.5 - 1


def gradient_histograms(faces: torch.Tensor) -> torch.Tensor:
    """Returns the features [N, F] of gray faces [N, 1, 56, 56]: how strong gradients are.

    There is one feature for each direction of the gradient and each cell of the face. It is divided
    by the strength of all gradients in the neighbourhood of the cell.
    """
    faces = faces - faces.mean((1, 2, 3), keepdim=True)
    faces = faces / (faces.square().mean((1, 2, 3), keepdim=True).sqrt() + _FLAT_FACE)
    strength = functional.relu(functional.conv2d(faces, _KERNELS.to(faces)))
    # The border has no gradients.
    blocks = functional.avg_pool2d(strength, _BLOCK, padding=1)
    cells = functional.avg_pool2d(blocks, 2, 1)
    energy = functional.pad(cells.square().sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    near = functional.avg_pool2d(energy, 3, 1).sqrt()
    return (cells / (near + _FLAT_CELLS)).flatten(1)


def mirror_weights(weights: torch.Tensor) -> torch.Tensor:
    """Returns weights that give on a face what ``weights`` [K, F] give on its mirror image.

    ``weights`` belong to the features that ``gradient_histograms`` returns. The mirror image has
    the cells in the opposite order from left to right, and the horizontal part of each gradient has
    the opposite sign.
    """
    by_cell = weights.unflatten(1, (_DIRECTIONS, _CELLS, _CELLS))
    # The mirror image of the direction a is pi - a.
    mirrored = [(_DIRECTIONS // 2 - k) % _DIRECTIONS for k in range(_DIRECTIONS)]
    return by_cell[:, mirrored].flip(-1).flatten(1)
