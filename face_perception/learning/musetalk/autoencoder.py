"""MuseTalk's image autoencoder (sd-vae-ft-mse), as an encoder and a decoder of pixels 0 to 255.

Parameters are named as in the files that current versions of diffusers write. The published file
has older names for the attention in the middle (``RENAMED``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from face_perception.learning.musetalk.diffusion_blocks import (
    Downsample,
    ResnetBlock,
    Upsample,
    attend,
    group_norm,
    use_precise_norms,
)

CHANNELS = (128, 256, 512, 512)
LATENTS = 4
SCALING = 0.18215
_EPS = 1e-6

# Older part of a parameter's name -> current part.
RENAMED = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}


class _Attention(nn.Module):
    """Self-attention with one head over all positions of the feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group_norm = group_norm(channels, _EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        y = self.group_norm(x).flatten(2).transpose(1, 2)
        y = self.to_out[0](attend(self.to_q(y), self.to_k(y), self.to_v(y), heads=1))
        return x + y.transpose(1, 2).reshape(x.shape)


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock(channels, channels, eps=_EPS) for _ in range(2)])
        self.attentions = nn.ModuleList([_Attention(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class _Level(nn.Module):
    """The blocks at one resolution; then a change of resolution, except at the last level."""

    def __init__(self, inputs: int, outputs: int, count: int, **change: nn.Module) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            [ResnetBlock(inputs if k == 0 else outputs, outputs, eps=_EPS) for k in range(count)]
        )
        for name, module in change.items():
            self.add_module(name, nn.ModuleList([module]))
        self._change = list(change)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resnets:
            x = block(x)
        for name in self._change:
            x = getattr(self, name)[0](x)
        return x


class _Encoder(nn.Module):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        before = widths[0]
        self.conv_in = nn.Conv2d(3, before, 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for k, channels in enumerate(widths):
            change = {}
            if k < len(widths) - 1:
                change["downsamplers"] = Downsample(channels, one_sided=True)
            self.down_blocks.append(_Level(before, channels, 2, **change))
            before = channels
        self.mid_block = _Middle(before)
        self.conv_norm_out = group_norm(before, _EPS)
        self.conv_out = nn.Conv2d(before, 2 * LATENTS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class _Decoder(nn.Module):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        before = widths[-1]
        self.conv_in = nn.Conv2d(LATENTS, before, 3, padding=1)
        self.mid_block = _Middle(before)
        self.up_blocks = nn.ModuleList()
        for k, channels in enumerate(reversed(widths)):
            change = {"upsamplers": Upsample(channels)} if k < len(widths) - 1 else {}
            self.up_blocks.append(_Level(before, channels, 3, **change))
            before = channels
        self.conv_norm_out = group_norm(before, _EPS)
        self.conv_out = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(x))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Autoencoder(nn.Module):
    """All parts of the published file: 83 653 863 parameters.

    ``widths`` are the channels of the four levels; the published ones are ``CHANNELS``.
    """

    def __init__(self, widths: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.encoder = _Encoder(widths)
        self.decoder = _Decoder(widths)
        self.quant_conv = nn.Conv2d(2 * LATENTS, 2 * LATENTS, 1)
        self.post_quant_conv = nn.Conv2d(LATENTS, LATENTS, 1)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and logarithm of the variance of the latents, each [N, 4, H / 8, W / 8].

        ``images`` [N, 3, H, W] are RGB, -1 to 1. The latents are not scaled.
        """
        moments = self.quant_conv(self.encoder(images))
        mean, logvar = moments.split(LATENTS, dim=1)
        return mean, logvar

    def decode(self, latents: Tensor) -> Tensor:
        """Returns images [N, 3, H, W], RGB, about -1 to 1, of scaled latents [N, 4, H/8, W/8]."""
        found: Tensor = self.decoder(self.post_quant_conv(latents / SCALING))
        return found


class ImageEncoder(nn.Module):
    """Encodes ``image`` [N, 3, 256, 256], RGB 0 to 255.

    Returns ``mean`` and ``logvar`` [N, 4, 32, 32] of the latents, without the scaling factor. To
    mask the face, set the lower half of the image to black first.
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        # It runs once for each image of an avatar, in preparation: exactness counts, not speed.
        use_precise_norms(autoencoder.encoder)
        self.autoencoder = autoencoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.autoencoder.encode(image / 127.5 - 1)
        return mean, logvar.clamp(-30.0, 20.0)


class ImageDecoder(nn.Module):
    """Scaled ``latents`` [N, 4, 32, 32], as the UNet returns them -> ``image`` [N, 3, 256, 256],
    RGB, 0 to 255, not rounded.
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, latents: Tensor) -> Tensor:
        decoded = self.autoencoder.decode(latents)
        return torch.clamp(decoded * 127.5 + 127.5, 0.0, 255.0)


def widths_of(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Returns the channels of the levels of an autoencoder, by its state dict.

    They are the published ones if the tensors do not tell: loading then names what is missing.
    """
    names = [f"encoder.down_blocks.{k}.resnets.0.conv1.weight" for k in range(len(CHANNELS))]
    found = tuple(len(state[name]) for name in names if name in state)
    return found if len(found) == len(CHANNELS) else CHANNELS
