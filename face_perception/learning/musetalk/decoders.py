"""Cheaper image decoders for MuseTalk.

One runs the published decoder for the lower rows only. The other is a smaller network
(AutoencoderTiny of diffusers, whose weights are published as taesd).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from face_perception.learning.musetalk.autoencoder import LATENTS, SCALING, Autoencoder

SIDE = 256
# First of the 256 rows that is decoded. Blending starts at half of the height, with a soft edge of
# up to 0.075 of the face's larger side.
FIRST_ROW = 96
# Rows above the first row that are computed as context for convolutions, in latent rows.
MARGIN = 2


class LowerImageDecoder(nn.Module):
    """Scaled ``latents`` [N, 4, 32, 32], as the UNet returns them -> ``image`` [N, 3, 160, 256],
    the rows from ``FIRST_ROW`` down, RGB, 0 to 255, not rounded.

    The middle, whose attention covers all positions, and the levels before ``cut`` are computed
    whole. Later levels compute the lower rows only, which is an approximation: group norms average
    over fewer positions, and convolutions see zeros beyond the cut. With pseudo-random weights
    (three seeds, four latents) the PSNR in the blended rows was 21 to 51 dB: over 44 for latents of
    noise, 32 to 36 for those of the UNet, 21 to 23 for the latents of a face.
    `face-perception avatar decoders` measures it with your weights.
    """

    def __init__(self, autoencoder: Autoencoder, *, cut: int = 1, margin: int = MARGIN) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self._cut, self._margin = cut, margin

    def forward(self, latents: Tensor) -> Tensor:
        decoder = self.autoencoder.decoder
        x = self.autoencoder.post_quant_conv(latents / SCALING)
        x = decoder.mid_block(decoder.conv_in(x))
        first, scale = 0, 8  # image row at which x starts; image rows per row of x
        for k, level in enumerate(decoder.up_blocks):
            if k >= self._cut:
                # The margin in image rows halves with each level, as the receptive field does.
                wanted = FIRST_ROW - (8 * self._margin >> (k - self._cut))
                x = x[:, :, (wanted - first) // scale :]
                first += (wanted - first) // scale * scale
            x = level(x)
            scale = max(scale // 2, 1)
        x = decoder.conv_out(F.silu(decoder.conv_norm_out(x)))[:, :, FIRST_ROW - first :]
        return torch.clamp(x * 127.5 + 127.5, 0.0, 255.0)


class _TinyBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class TinyDecoder(nn.Module):
    """Scaled ``latents`` [N, 4, 32, 32], as the UNet returns them -> ``image`` [N, 3, 256, 256],
    RGB, 0 to 255, not rounded.

    Has 1 222 531 parameters, named as in diffusers' file, without the prefix ``decoder.``.
    """

    CHANNELS = 64
    BLOCKS = (3, 3, 3, 1)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(LATENTS, self.CHANNELS, 3, padding=1), nn.ReLU()]
        for k, count in enumerate(self.BLOCKS):
            is_last = k == len(self.BLOCKS) - 1
            layers += [_TinyBlock(self.CHANNELS) for _ in range(count)]
            if not is_last:
                layers.append(nn.Upsample(scale_factor=2))
            outputs = 3 if is_last else self.CHANNELS
            layers.append(nn.Conv2d(self.CHANNELS, outputs, 3, padding=1, bias=is_last))
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        image = self.layers(3 * torch.tanh(latents / 3))
        return torch.clamp(image * 255, 0.0, 255.0)


def rename_tiny_decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the decoder of a published file under our names.

    The file has diffusers' whole autoencoder, its decoder alone, or the original taesd_decoder. The
    last one counts a clamp as layer 0, so that its numbers are one higher.
    """
    if any(name.startswith("decoder.") for name in state):
        prefix = "decoder."
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if all(name.startswith("layers.") for name in state):
        return dict(state)
    return {
        re.sub(r"^(\d+)\.", lambda found: f"layers.{int(found[1]) - 1}.", name): value
        for name, value in state.items()
    }
