"""Fixed filters that stand in for VGG16's first layers, which the package does not contain."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from face_perception.errors import InputError

_SIDE = 9  # pixels of a filter
_SCALES = (1.0, 2.0)  # standard deviations of its Gaussian, pixels
_LEAST = 3 * len(_SCALES)
_RANGE = 20.0  # gray levels that become 1


class EdgeFilters(nn.Module):
    """Maps a gray image [N, 1, H, W], 0 to 255, to features [N, C, H/2, W/2], as ``Trunk`` does.

    At each of two scales, they are the slopes of the blurred image in evenly spaced directions, and
    its dark and bright blobs (Laplacian of Gaussian), without their negative parts. Nothing is
    learned, so no claim is favoured, and training is faster. ``count`` is C. Raises InputError if
    that is below 6 or odd.
    """

    kernel: torch.Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        if count < _LEAST or count % len(_SCALES):
            raise InputError(f"{count} filters were asked for: use an even number of at least 6")
        kernel = np.stack([one for s in _SCALES for one in _filters(s, count // len(_SCALES))])
        self.register_buffer("kernel", torch.from_numpy(kernel).float()[:, None])

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        margin = (_SIDE // 2,) * 4
        x = functional.conv2d(functional.pad(gray, margin, mode="replicate"), self.kernel, stride=2)
        return functional.relu(x) / _RANGE


def _filters(deviation: float, count: int) -> list[npt.NDArray[np.float64]]:
    """Returns ``count`` filters of one scale: all but two are slopes."""
    half = _SIDE // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    squares = (x * x + y * y) / deviation**2
    blur = np.exp(-squares / 2)
    found = []
    for turn in np.arange(count - 2) * (2 * math.pi / (count - 2)):
        found.append(-(math.cos(turn) * x + math.sin(turn) * y) * blur)
    blob = (squares - 2) * blur
    blob -= blob.mean()
    # Each gives the same for equally strong edges: its weights of one sign add up to 1.
    return [2 * one / np.abs(one).sum() for one in (*found, blob, -blob)]
