"""MIMAMO-Net: valence and arousal from appearance and phase differences over time.

Parameters are named as in the published state dict; its unused layers are kept.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from face_perception.errors import InputError
from face_perception.learning.resnet50_ferplus import FEATURES

# Number of phase differences around the estimated frame; each has two orientations.
PHASES = 12
CHANNELS = 2 * PHASES
SIZES = (48, 24)

WIDTH = 256  # published number of features of a stream

Recurrence = Literal["time", "clips"]


class Spatial(nn.Module):
    """Appearance [N, appearance] -> [N, width]."""

    def __init__(self, appearance: int = FEATURES, width: int = WIDTH) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Dropout(0.3),
            *(nn.Linear(appearance, width), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Dropout(0.3),
            *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()),
        )

    def forward(self, appearance: torch.Tensor) -> torch.Tensor:
        return self.mlp(appearance)


class PhaseNet(nn.Module):
    """Phase differences [N, 24, 48, 48] and [N, 24, 24, 24] -> [N, width].

    ``classifier`` was used to train this network alone. It is not run.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.conv_net = nn.ModuleList(
            [
                _halving(CHANNELS, width // 4),
                _halving(width // 4 + CHANNELS, width // 2),
                _halving(width // 2, width),
            ]
        )
        self.dropout = nn.Dropout2d(0.2)
        self.fc = nn.Sequential(
            *(nn.Linear(width, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(0.3)),
            *(nn.Linear(width, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(0.3)),
        )
        self.classifier = nn.Sequential(nn.Linear(width, 1), nn.BatchNorm1d(1, eps=1e-6))

    def forward(self, phase0: torch.Tensor, phase1: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.conv_net[0](phase0), phase1], 1)
        for layer in self.conv_net[1:]:
            x = self.dropout(layer(x))
        return self.fc(x.mean((2, 3)))


class TwoStream(nn.Module):
    """Appearance [B, T, appearance] and phase differences [B, T, 24, 48, 48], [B, T, 24, 24, 24] ->
    valence and arousal [B, T, 2], not limited to [-1, 1].

    The paper describes a ``recurrence`` over ``time``. The published code runs it over the
    ``clips`` of a batch instead, so that the frames of a clip do not influence each other; its
    weights were trained that way. ``appearance`` is the number of appearance features of a frame,
    ``width`` that of the features of both streams. ``dropout`` multiplies the published
    probabilities. Raises InputError for another recurrence.
    """

    def __init__(
        self,
        recurrence: Recurrence = "clips",
        *,
        appearance: int = FEATURES,
        width: int = WIDTH,
        dropout: float = 1.0,
    ) -> None:
        super().__init__()
        if recurrence not in ("time", "clips"):
            raise InputError(f"recurrence must be time or clips, not {recurrence!r}")
        self.recurrence = recurrence
        self.appearance, self.width = appearance, width
        self.mlp = Spatial(appearance, width)
        self.phasenet = PhaseNet(width)
        self.transform = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(0.5)
        )
        hidden = width // 2
        self.rnns = nn.GRU(width, hidden, num_layers=2, bidirectional=True, dropout=0.3)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(2 * hidden, 2), nn.BatchNorm1d(2)
        )
        for module in self.modules():
            if isinstance(module, nn.Dropout | nn.Dropout2d):
                module.p *= dropout
        self.rnns.dropout *= dropout

    def features(
        self, appearance: torch.Tensor, phase0: torch.Tensor, phase1: torch.Tensor
    ) -> torch.Tensor:
        """Returns the features [N, width] of frames [N, ...], from both streams."""
        streams = [self.mlp(appearance), self.phasenet(phase0, phase1)]
        return self.transform(torch.cat(streams, 1))

    def over_time(self, features: torch.Tensor) -> torch.Tensor:
        """Returns valence and arousal [B, T, 2] of ``features`` [B, T, width]."""
        x = features.transpose(0, 1) if self.recurrence == "time" else features
        # Without an explicit initial state, the exporter fixes the batch size.
        start = x.new_zeros(4, x.shape[1], self.width // 2)
        x = self.rnns(x, start)[0]
        x = x.transpose(0, 1) if self.recurrence == "time" else x
        return _as_clips(self.classifier(_as_frames(x)), features, 2)

    def forward(
        self, appearance: torch.Tensor, phase0: torch.Tensor, phase1: torch.Tensor
    ) -> torch.Tensor:
        frames = [_as_frames(x) for x in (appearance, phase0, phase1)]
        return self.over_time(_as_clips(self.features(*frames), appearance, self.width))


def _as_frames(clips: torch.Tensor) -> torch.Tensor:
    """Reshapes [B, T, ...] to [B * T, ...]."""
    return clips.reshape(-1, *clips.shape[2:])


def _as_clips(frames: torch.Tensor, like: torch.Tensor, width: int) -> torch.Tensor:
    """Reshapes [B * T, width] to [B, T, width], with B and T of ``like``."""
    # The exporter would fix the sizes of ``unflatten`` to those of its example.
    return frames.reshape(like.shape[0], like.shape[1], width)


def _halving(channels: int, out: int) -> nn.Sequential:
    """Returns two convolutions, the second of which halves width and height."""
    return nn.Sequential(
        *(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()),
        *(nn.Conv2d(out, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()),
    )
