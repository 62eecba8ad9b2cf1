"""MuseTalk's UNet: latents of a masked and a reference face, and speech -> latents of the face.

It is the UNet of Stable Diffusion 1 with 8 input channels, with speech in place of text, and always
at time step 0. Parameters are named as in the published file.
"""

from __future__ import annotations

import math
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
)

CHANNELS = (320, 640, 1280, 1280)
IN, OUT = 8, 4
AUDIO = 384
TOKENS = 50
HEADS = 8
_EPS = 1e-5
LAYERS = 2


class _Attention(nn.Module):
    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.to_out[0](attend(self.to_q(x), self.to_k(context), self.to_v(context), HEADS))


class _GatedLinear(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class _FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 4 * channels
        # The published file numbers a dropout between the two.
        self.net = nn.ModuleList(
            [_GatedLinear(channels, inner), nn.Identity(), nn.Linear(inner, channels)]
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x


class _TransformerBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = _Attention(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = _Attention(channels, AUDIO)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = _FeedForward(channels)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attn1(y, y)
        x = x + self.attn2(self.norm2(x), audio)
        return x + self.ff(self.norm3(x))


class _Transformer(nn.Module):
    """Self-attention over positions, then cross-attention to speech."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, 1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([_TransformerBlock(channels)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        y = self.proj_in(self.norm(x))
        shape = y.shape
        y = self.transformer_blocks[0](y.flatten(2).transpose(1, 2), audio)
        return x + self.proj_out(y.transpose(1, 2).reshape(shape))


class _Level(nn.Module):
    """The residual blocks at one resolution, each followed by a transformer if ``attends``."""

    def __init__(self, widths: list[tuple[int, int]], attends: bool, time: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            [ResnetBlock(before, after, eps=_EPS, time_channels=time) for before, after in widths]
        )
        if attends:
            self.attentions = nn.ModuleList([_Transformer(after) for _, after in widths])
        self._attends = attends

    def block(self, k: int, x: Tensor, time: Tensor | None, audio: Tensor) -> Tensor:
        x = self.resnets[k](x, time)
        return self.attentions[k](x, audio) if self._attends else x


class _Middle(nn.Module):
    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            [ResnetBlock(channels, channels, eps=_EPS, time_channels=time) for _ in range(2)]
        )
        self.attentions = nn.ModuleList([_Transformer(channels)])

    def forward(self, x: Tensor, time: Tensor | None, audio: Tensor) -> Tensor:
        x = self.attentions[0](self.resnets[0](x, time), audio)
        return self.resnets[1](x, time)


class _TimeEmbedding(nn.Module):
    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, time)
        self.linear_2 = nn.Linear(time, time)

    def forward(self) -> Tensor:
        """Returns the embedding [1, C] of time step 0: cosines of 0, then sines of 0."""
        half = torch.ones(1, self.linear_1.in_features // 2)
        waves = torch.cat([half, torch.zeros_like(half)], dim=1).to(self.linear_1.weight)
        return self.linear_2(F.silu(self.linear_1(waves)))


class UNet(nn.Module):
    """``latents`` [N, 8, 32, 32] (masked face, then reference, scaled by 0.18215) and ``audio``
    [N, 50, 384] (ten whisper steps of five layers each) -> ``latents`` [N, 4, 32, 32].

    Adds the positional encoding of the 50 tokens. Has 849 947 844 parameters as published:
    ``channels`` of its four levels, multiples of 8, and ``layers`` residual blocks in each.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS, layers: int = LAYERS) -> None:
        super().__init__()
        before, last = channels[0], len(channels) - 1
        time = 4 * before
        self._layers = layers
        self.conv_in = nn.Conv2d(IN, before, 3, padding=1)
        self.time_embedding = _TimeEmbedding(before, time)
        self.down_blocks = nn.ModuleList()
        skips = [before]
        for k, width in enumerate(channels):
            widths = [(before, width)] + [(width, width)] * (layers - 1)
            level = _Level(widths, k < last, time)
            skips += [width] * layers
            if k < last:
                level.downsamplers = nn.ModuleList([Downsample(width, one_sided=False)])
                skips.append(width)
            self.down_blocks.append(level)
            before = width
        self.mid_block = _Middle(before, time)
        self.up_blocks = nn.ModuleList()
        for k, width in enumerate(reversed(channels)):
            widths = []
            for _ in range(layers + 1):
                widths.append((before + skips.pop(), width))
                before = width
            level = _Level(widths, k > 0, time)
            if k < last:
                level.upsamplers = nn.ModuleList([Upsample(width)])
            self.up_blocks.append(level)
        self.conv_norm_out = group_norm(before, _EPS)
        self.conv_out = nn.Conv2d(before, OUT, 3, padding=1)
        self.register_buffer("positions", positions(), persistent=False)

    def forward(self, latents: Tensor, audio: Tensor) -> Tensor:
        time = None if self.time_folded else self.time_embedding()
        audio = audio + self.positions
        x = self.conv_in(latents)
        skips = [x]
        for level in self.down_blocks:
            for k in range(self._layers):
                x = level.block(k, x, time, audio)
                skips.append(x)
            if hasattr(level, "downsamplers"):
                x = level.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block(x, time, audio)
        for level in self.up_blocks:
            for k in range(self._layers + 1):
                x = level.block(k, torch.cat([x, skips.pop()], dim=1), time, audio)
            if hasattr(level, "upsamplers"):
                x = level.upsamplers[0](x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    time_folded = False

    @torch.no_grad()
    def fold_time(self) -> None:
        """Adds the contribution of time step 0 to the biases of the first convolutions.

        Outputs stay the same and the graph gets smaller, but the network cannot be trained or
        saved afterwards.
        """
        time = F.silu(self.time_embedding())
        for module in self.modules():
            if isinstance(module, ResnetBlock):
                module.conv1.bias += module.time_emb_proj(time)[0]
                del module.time_emb_proj
        del self.time_embedding
        self.time_folded = True


def shape_of(state: Mapping[str, Tensor]) -> tuple[tuple[int, ...], int]:
    """Returns ``channels`` and ``layers`` of a UNet, by its state dict.

    They are the published ones if the tensors do not tell: loading then names what is missing.
    """
    names = [f"down_blocks.{k}.resnets.0.conv1.weight" for k in range(len(CHANNELS))]
    found = tuple(len(state[name]) for name in names if name in state)
    if len(found) < len(CHANNELS):
        return CHANNELS, LAYERS
    layers = {name.split(".")[3] for name in state if name.startswith("down_blocks.0.resnets.")}
    return found, len(layers)


def positions(tokens: int = TOKENS, channels: int = AUDIO) -> Tensor:
    """Returns sinusoidal positions [tokens, channels] (Vaswani et al. 2017).

    Even channels are sines, odd ones cosines.
    """
    steps = torch.arange(tokens, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, channels, 2).float() * (-math.log(10000.0) / channels))
    return torch.stack([torch.sin(steps * rates), torch.cos(steps * rates)], dim=2).flatten(1)
