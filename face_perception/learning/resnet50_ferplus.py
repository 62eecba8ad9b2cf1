"""ResNet-50 in MatConvNet's layout, trained on FER+: the trunk of the multitask CNN and MIMAMO-Net.

Parameters are named as in the published state dict. Differences to torchvision's ResNet-50: the
stride of a stage is in its first 1x1 convolution, and the first pooling is not padded but keeps the
last row (ceil mode).
"""

from __future__ import annotations

import torch
from torch import nn

# Mean of a face in RGB, 0 to 255. It is subtracted; there is no division.
MEAN = (131.0912, 103.8827, 91.4953)

FEATURES = 2048
CLASSES = 8

# Stage -> number of blocks, channels of the narrow convolutions. Wide ones have four times as many.
_STAGES = {2: (3, 64), 3: (4, 128), 4: (6, 256), 5: (3, 512)}
_WIDER = 4

# Published dropout, before the normalisations of the last two convolutions of the last block.
_DROPPED = {"conv5_3_3x3": 0.5, "conv5_3_1x1_increase": 0.5}


class ResNet50FERPlus(nn.Module):
    """RGB [N, 3, H, W], 0 to 255 minus ``MEAN`` -> pooled features [N, 2048], not negative.

    The published pooling is 7x7, the whole feature map of a 224-pixel face. Here it covers the
    whole map of any size, as in the multitask network. ``classes`` = 8 adds the tensors of the
    published FER+ classifier to the state dict; it is not run. ``width`` is the share of the
    published channels, and so of the features; below 1 it suits training on small machines.
    """

    def __init__(self, classes: int = 0, *, width: float = 1.0) -> None:
        super().__init__()
        stem = round(64 * width)
        self._add("conv1_7x7_s2", 3, stem, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        channels = stem
        for stage, (blocks, whole) in _STAGES.items():
            narrow = round(whole * width)
            for block in range(1, blocks + 1):
                name = f"conv{stage}_{block}"
                stride = 2 if block == 1 and stage > 2 else 1
                self._add(f"{name}_1x1_reduce", channels, narrow, 1, stride=stride)
                self._add(f"{name}_3x3", narrow, narrow, 3)
                self._add(f"{name}_1x1_increase", narrow, _WIDER * narrow, 1)
                if block == 1:
                    self._add(f"{name}_1x1_proj", channels, _WIDER * narrow, 1, stride=stride)
                channels = _WIDER * narrow
        if classes:
            self.classifier = nn.Conv2d(round(FEATURES * width), classes, 1)

    def _add(self, name: str, channels: int, out: int, size: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(channels, out, size, stride, padding=size // 2, bias=False)
        self.add_module(name, convolution)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(out))
        if name in _DROPPED:
            self.add_module(f"{name}_drop", nn.Dropout(_DROPPED[name]))

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        x = self.get_submodule(name)(x)
        if name in _DROPPED:
            x = self.get_submodule(f"{name}_drop")(x)
        return self.get_submodule(f"{name}_bn")(x)

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self._layer("conv1_7x7_s2", face)))
        for stage, (blocks, _) in _STAGES.items():
            for block in range(1, blocks + 1):
                name = f"conv{stage}_{block}"
                y = torch.relu(self._layer(f"{name}_1x1_reduce", x))
                y = torch.relu(self._layer(f"{name}_3x3", y))
                y = self._layer(f"{name}_1x1_increase", y)
                straight = self._layer(f"{name}_1x1_proj", x) if block == 1 else x
                x = torch.relu(straight + y)
        return nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)


class SubtractMean(nn.Module):
    """Subtracts ``MEAN`` from a face in RGB, 0 to 255, and runs ``network`` on it.

    The mean cannot be folded into the first convolution, whose zero padding stands for the mean.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

    def forward(self, face: torch.Tensor) -> object:
        return self.network(face - self.mean)
