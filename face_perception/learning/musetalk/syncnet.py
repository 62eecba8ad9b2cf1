"""SyncNet of LatentSync: whether lips in 16 images and 0.64 s of sound belong together.

Parameters are named as in the published file (``latentsync_syncnet.pt``). Source: Li et al.,
"LatentSync", 2024, and its configuration for 16 frames of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FRAMES = 16  # images that are seen at once
HEIGHT, WIDTH = 128, 256  # pixels: the lower half of a face of 256 x 256
BANDS, COLUMNS = 80, 52  # of the spectrogram: 80 columns a second

SOUND_CHANNELS = (32, 64, 128, 256, 512, 1024, 2048)
LIPS_CHANNELS = (64, 128, 256, 256, 512, 1024, 2048, 2048)
# How much smaller each block makes the height and the width: from 80 x 52 and 128 x 256 to 1 x 1.
_SOUND_STEPS = ((2, 1), (2, 2), (2, 2), (1, 1), (2, 2), (2, 2), (2, 3))
_LIPS_STEPS = ((1, 2), *[(2, 2)] * 7)
_GROUPS, _FEW_GROUPS = 32, 4
_EPS = 1e-6


def _norm(channels: int) -> nn.GroupNorm:
    """Returns the group norm of a layer: 32 groups as published, or 4 in a narrow network."""
    return nn.GroupNorm(_FEW_GROUPS if channels % _GROUPS else _GROUPS, channels, _EPS)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, step: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = _norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)
        if step != (1, 1):
            self.downsample_conv = nn.Conv2d(outputs, outputs, 3, stride=step)
        # Left, right, top, bottom: one-sided along an axis that shrinks.
        self._pad = (int(step[1] == 1), 1, int(step[0] == 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        x = y + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)
        return self.downsample_conv(F.pad(x, self._pad)) if hasattr(self, "downsample_conv") else x


class _Encoder(nn.Module):
    def __init__(
        self, inputs: int, channels: Sequence[int], steps: Sequence[tuple[int, int]]
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, channels[0], 3, padding=1)
        before = (channels[0], *channels)
        self.down_blocks = nn.ModuleList(
            [_Block(*sizes) for sizes in zip(before, channels, steps, strict=False)]
        )
        self.norm_out = _norm(channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return F.normalize(F.relu(self.norm_out(x)).flatten(1), dim=1)


class SyncNet(nn.Module):
    """``sound`` [N, 1, 80, 52] (see ``sync_mel``) and ``lips`` [N, 48, 128, 256] -> embeddings
    [N, C] of length 1.

    ``lips`` are the lower halves of 16 consecutive faces, RGB -1 to 1, in the order of frames.
    ``channels`` are those of the blocks for sound and for lips; published, there are 371.8 million
    parameters and C is 2048.
    """

    def __init__(
        self,
        channels: tuple[Sequence[int], Sequence[int]] = (SOUND_CHANNELS, LIPS_CHANNELS),
    ) -> None:
        super().__init__()
        sound, lips = channels
        self.audio_encoder = _Encoder(1, sound, _SOUND_STEPS)
        self.visual_encoder = _Encoder(3 * FRAMES, lips, _LIPS_STEPS)

    def forward(self, sound: Tensor, lips: Tensor) -> tuple[Tensor, Tensor]:
        return self.audio_encoder(sound), self.visual_encoder(lips)


def scaled_channels(width: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns channels of a SyncNet that is narrower by the factor ``width`` (1 is published).

    They are multiples of 4, and at least 8.
    """

    def scaled(channels: Sequence[int]) -> tuple[int, ...]:
        return tuple(max(8, _FEW_GROUPS * round(c * width / _FEW_GROUPS)) for c in channels)

    return scaled(SOUND_CHANNELS), scaled(LIPS_CHANNELS)


def channels_of(state: Mapping[str, Tensor]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the channels of a SyncNet by its state dict.

    They are the published ones if the tensors do not tell: loading then names what is missing.
    """

    def found(encoder: str, published: Sequence[int]) -> tuple[int, ...]:
        names = [f"{encoder}.down_blocks.{k}.conv1.weight" for k in range(len(published))]
        sizes = tuple(len(state[name]) for name in names if name in state)
        return sizes if len(sizes) == len(published) else tuple(published)

    return found("audio_encoder", SOUND_CHANNELS), found("visual_encoder", LIPS_CHANNELS)


def lower_halves(faces: Tensor) -> Tensor:
    """Returns what SyncNet sees of faces [N, 16, 3, 256, 256], RGB -1 to 1: [N, 48, 128, 256]."""
    return faces[:, :, :, HEIGHT:].reshape(len(faces), 3 * FRAMES, HEIGHT, WIDTH)


def sound_columns(frame: int, fps: float = 25.0) -> slice:
    """Returns the columns of the spectrogram of 16 images from number ``frame`` on."""
    first = int(80.0 * (frame / fps))
    return slice(first, first + COLUMNS)


def sound_windows(mel: Tensor, frames: Sequence[int]) -> Tensor:
    """Returns what SyncNet hears at images ``frames``: [N, 1, 80, 52] of ``mel`` [80, T]."""
    return torch.stack([mel[None, :, sound_columns(frame)] for frame in frames])
