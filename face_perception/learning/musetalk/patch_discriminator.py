"""The discriminator of MuseTalk's second stage: tells patches of real images from generated ones.

Parameters have the published names without the prefix ``discs.1.``: of the scales that the released
code allows for, its training uses the whole image only.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

WIDTH = 32  # published; the first block has twice as many channels
BLOCKS = 4
_MOST = 512  # channels


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, normed: bool, pooled: bool) -> None:
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(inputs, outputs, 4))
        if normed:
            self.norm = nn.InstanceNorm2d(outputs, affine=True)
        self._normed, self._pooled = normed, pooled

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y = F.leaky_relu(self.norm(y) if self._normed else y, 0.2)
        return F.avg_pool2d(y, 2) if self._pooled else y


class PatchDiscriminator(nn.Module):
    """Images [N, 3, H, W], -1 to 1 -> a map [N, 1, h, w], near 1 for real ones, and the features.

    The features are the outputs of the four blocks, which feature matching compares.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        channels = [3, *(min(_MOST, width * 2 ** (k + 1)) for k in range(BLOCKS))]
        self.down_blocks = nn.ModuleList(
            [
                _Block(before, after, normed=k > 0, pooled=k < BLOCKS - 1)
                for k, (before, after) in enumerate(pairwise(channels))
            ]
        )
        self.conv = spectral_norm(nn.Conv2d(channels[-1], 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for block in self.down_blocks:
            images = block(images)
            features.append(images)
        return self.conv(images), features
