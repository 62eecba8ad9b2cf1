"""ResNet-50 as MatConvNet laid it out and FER+ trained it: the trunk of both published systems.

Parameters are named as in the published state dict. Beside torchvision's: the stride of a stage is
in its first 1x1 convolution, and the first pool has no padding but keeps the last row (ceil mode).
"""

from __future__ import annotations

import torch
from torch import nn

# Of a face in RGB, 0..255; subtracted, nothing is divided.
MEAN = (131.0912, 103.8827, 91.4953)

FEATURES = 2048
CLASSES = 8

# Stage -> blocks, channels of the narrow convolutions; the wide ones have four times as many.
_STAGES = {2: (3, 64), 3: (4, 128), 4: (6, 256), 5: (3, 512)}
_WIDER = 4

# Published: before the normalisations of the last block's last two convolutions.
_DROPPED = {"conv5_3_3x3": 0.5, "conv5_3_1x1_increase": 0.5}


class ResNet50FERPlus(nn.Module):
    """RGB [N, 3, H, W], 0..255 less ``MEAN`` -> pooled features [N, 2048], from 0 on.

    The published pool is 7x7, which is all of a 224-pixel face; here it is over whatever is left,
    as the multitask network has it. ``classes`` = 8 adds the published classifier of FER+, which
    nothing here runs: its tensors then belong to the state dict. ``width`` below 1 is for machines
    that cannot train the whole: each layer has that share of the channels, and so the features.
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
    """A network on faces in RGB, 0..255, that takes the mean off by itself.

    It cannot go into the first convolution: that pads with zeros, which are the mean.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

    def forward(self, face: torch.Tensor) -> object:
        return self.network(face - self.mean)
