"""The network LR-ASD: convolutions over pictures and over MFCC, then two recurrent layers.

Source: J. Liao et al., *LR-ASD: Lightweight and Robust Network for Active Speaker Detection*,
IJCV 2025, section 3. The names of the layers are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import nn

SIDE = 112  # pixels
COEFFICIENTS = 13  # MFCC
PER_IMAGE = 4  # MFCC frames an image
FEATURES = 128  # of a picture, and of its sound
# Gray levels are divided by 255, then normalised by these.
MEAN, DEVIATION = 0.4161, 0.1688
CHANNELS = ((1, 32), (32, 64), (64, FEATURES))  # in and out, of each block
KERNELS = (5, 3)
_EPSILON, _MOMENTUM = 1e-3, 0.01


class VisualBlock(nn.Module):
    """Two convolutions within each picture, then two over time: [N, C, T, H, W] -> the same."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        first, second = KERNELS
        self.s_1 = _over_picture(inputs, outputs // 2, first, stride)
        self.s_norm_1 = nn.BatchNorm3d(outputs // 2, _EPSILON, _MOMENTUM)
        self.s_2 = _over_picture(outputs // 2, outputs, second)
        self.s_norm_2 = nn.BatchNorm3d(outputs, _EPSILON, _MOMENTUM)
        self.t_1 = _over_time(outputs, first)
        self.t_norm_1 = nn.BatchNorm3d(outputs, _EPSILON, _MOMENTUM)
        self.t_2 = _over_time(outputs, second)
        self.t_norm_2 = nn.BatchNorm3d(outputs, _EPSILON, _MOMENTUM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, norm in (
            (self.s_1, self.s_norm_1),
            (self.s_2, self.s_norm_2),
            (self.t_1, self.t_norm_1),
            (self.t_2, self.t_norm_2),
        ):
            x = norm(layer(x)).relu()
        return x


class VisualEncoder(nn.Module):
    """Normalised gray pictures [N, 1, T, 112, 112] -> features [N, T, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2, self.block3 = (
            VisualBlock(*channels, stride=2 if k == 0 else 1) for k, channels in enumerate(CHANNELS)
        )
        self.pool1, self.pool2 = (nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block3(self.pool2(self.block2(self.pool1(self.block1(x)))))
        found: torch.Tensor = x.amax((3, 4)).transpose(1, 2)
        return found


class AudioBlock(nn.Module):
    """Two convolutions over the coefficients, then two over time: [N, C, 13, T] -> the same."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first, second = KERNELS
        self.m_1 = _of_sound(inputs, outputs // 2, (first, 1))
        self.m_norm_1 = nn.BatchNorm2d(outputs // 2, _EPSILON, _MOMENTUM)
        self.m_2 = _of_sound(outputs // 2, outputs, (second, 1))
        self.m_norm_2 = nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM)
        self.t_1 = _of_sound(outputs, outputs, (1, first))
        self.t_norm_1 = nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM)
        self.t_2 = _of_sound(outputs, outputs, (1, second))
        self.t_norm_2 = nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, norm in (
            (self.m_1, self.m_norm_1),
            (self.m_2, self.m_norm_2),
            (self.t_1, self.t_norm_1),
            (self.t_2, self.t_norm_2),
        ):
            x = norm(layer(x)).relu()
        return x


class AudioEncoder(nn.Module):
    """MFCC [N, 1, 13, 4T] -> features [N, T, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2, self.block3 = (AudioBlock(*channels) for channels in CHANNELS)
        self.pool1, self.pool2 = (nn.MaxPool2d((1, 3), (1, 2), (0, 1)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block3(self.pool2(self.block2(self.pool1(self.block1(x)))))
        found: torch.Tensor = x.mean(2).transpose(1, 2)
        return found


class Fusion(nn.Module):
    """Weights the channels of two sequences [N, T, C / 2], side by side -> [N, T, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv1d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm1d(channels, _EPSILON, _MOMENTUM)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        both = torch.cat((first, second), 2).transpose(1, 2)
        return (both * self.bn(self.attention(both)).sigmoid()).transpose(1, 2)


class Detector(nn.Module):
    """Runs over time in both directions: [N, T, 256] -> [N, T, 128]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(channels, channels // 4, batch_first=True)
        self.gru_backward = nn.GRU(channels, channels // 4, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.attention = Fusion(channels // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        begin = x.new_zeros(1, x.shape[0], self.gru_forward.hidden_size)
        forwards, _ = self.gru_forward(self.drop(x), begin)
        backwards, _ = self.gru_backward(self.drop(x.flip(1)), begin)
        found: torch.Tensor = self.attention(forwards, backwards.flip(1))
        return found


class _Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder = VisualEncoder()
        self.audioEncoder = AudioEncoder()
        self.fusion = Fusion(2 * FEATURES)
        self.detector = Detector(2 * FEATURES)


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.FC = nn.Linear(FEATURES, 2)


class LRASD(nn.Module):
    """Pictures and sound of one face -> probability that it speaks, for each picture.

    ``lossV`` decides from the pictures alone; only training uses it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model = _Body()
        self.lossAV = _Head()
        self.lossV = _Head()

    def forward(self, faces: torch.Tensor, mfcc: torch.Tensor) -> torch.Tensor:
        """Returns the probability [N, T].

        ``faces`` [N, T, 112, 112] are gray, 0 to 255; ``mfcc`` [N, 4T, 13] as ``mfcc_frames``
        returns it.
        """
        pictures = (faces / 255 - MEAN) / DEVIATION
        seen = self.model.visualEncoder(pictures.unsqueeze(1))
        heard = self.model.audioEncoder(mfcc.transpose(1, 2).unsqueeze(1))
        found = self.model.detector(self.model.fusion(heard, seen))
        probability: torch.Tensor = self.lossAV.FC(found).softmax(2)[..., 1]
        return probability


def _over_picture(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(
        inputs,
        outputs,
        (1, size, size),
        (1, stride, stride),
        (0, size // 2, size // 2),
        bias=False,
    )


def _over_time(channels: int, size: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, (size, 1, 1), padding=(size // 2, 0, 0), bias=False)


def _of_sound(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Conv2d:
    padding = (size[0] // 2, size[1] // 2)
    return nn.Conv2d(inputs, outputs, size, padding=padding, bias=False)
