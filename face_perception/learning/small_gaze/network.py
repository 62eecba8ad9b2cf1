"""The small gaze network: gaze and its standard deviation from both eyes and measured landmarks.

One encoder reads both eyes; the right one is mirrored, so that it looks like a left one. The gaze
is a linear function of the measures, plus what a small network adds from eyes and measures. The
network is symmetric: the mirror image of a face has the mirror image of its gaze.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from face_perception.gaze import GAZE_MEASURES

EYE_SIZE = (64, 96)  # height and width of an input, pixels
SMALL_SIZE = (32, 48)  # after every two pixels on both axes were averaged
_CHANNELS = (16, 24, 32, 48)
_OF_EYE, _HIDDEN = 48, 64
# The network takes the measures from this one on. Those before it are the geometric estimate of the
# gaze. The exported graph averages it with the network's (``export.RealPeople``), which is more
# accurate on people than a network that takes it.
_FIRST = GAZE_MEASURES.index("measured_head_pitch")
# They are brought to about 0 and 1: typical value and spread, radians and eye widths.
_USUAL = (0.0, 0.0, 0.16, -0.12, 0.60)
_SPREAD = (0.2, 0.3, 0.05, 0.04, 0.10)
_LEAST_SIGMA = 0.01  # radians
# Factors of measures, and of pitch and yaw, if the picture is mirrored.
_SIDES = tuple(-1.0 if name.endswith("_yaw") else 1.0 for name in GAZE_MEASURES[_FIRST:])
_MIRRORED_GAZE = (1.0, -1.0)


class Estimate(NamedTuple):
    """Pitch and yaw [N, 2], radians, and the logarithm of their standard deviations [N, 2]."""

    gaze: torch.Tensor
    log_sigma: torch.Tensor


class SmallGaze(nn.Module):
    """Yaw is positive to the image's right here; the exported graph has the sign of the others."""

    usual: torch.Tensor
    spread: torch.Tensor
    sides: torch.Tensor
    mirrored_gaze: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        # The first layer halves the picture: at its full size it would take most of the time.
        layers = [*_block(1, _CHANNELS[0], size=5, stride=2)]
        for inputs, outputs in pairwise(_CHANNELS):
            layers += _block(inputs, outputs)
            if outputs != _CHANNELS[-1]:
                layers.append(nn.MaxPool2d(2))
        self.encoder = nn.Sequential(*layers)
        pixels = SMALL_SIZE[0] * SMALL_SIZE[1] // 4 ** (len(_CHANNELS) - 1)
        self.of_eye = nn.Linear(_CHANNELS[-1] * pixels, _OF_EYE)
        self.hidden = nn.Linear(2 * _OF_EYE + len(_USUAL), _HIDDEN)
        self.drop = nn.Dropout(0.2)
        self.output = nn.Linear(_HIDDEN, 4)
        self.direct = nn.Linear(len(_USUAL), 2)
        self.register_buffer("usual", torch.tensor(_USUAL))
        self.register_buffer("spread", torch.tensor(_SPREAD))
        self.register_buffer("sides", torch.tensor(_SIDES))
        self.register_buffer("mirrored_gaze", torch.tensor(_MIRRORED_GAZE))

    def forward(
        self, left_eye: torch.Tensor, right_eye: torch.Tensor, measures: torch.Tensor
    ) -> Estimate:
        """Eyes [N, 1, 32, 48] have gray levels of about -1 to 1, neither is mirrored.

        ``measures`` are the ``GAZE_MEASURES`` [N, 7].
        """
        eyes = self.encoder(torch.cat([left_eye, right_eye.flip(-1)])).flatten(1)
        left, right = functional.relu(self.of_eye(eyes)).chunk(2)
        known = (measures[:, _FIRST:] - self.usual) / self.spread
        gaze, log_sigma = self._of_both(left, right, known)
        # The same for the mirror image: the eyes change places, and the encoder saw them mirrored.
        mirrored, mirrored_log_sigma = self._of_both(right, left, known * self.sides)
        return Estimate(
            (gaze + mirrored * self.mirrored_gaze) / 2,
            ((log_sigma + mirrored_log_sigma) / 2).clamp(-5.0, 1.0),
        )

    def _of_both(
        self, left: torch.Tensor, right: torch.Tensor, known: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the gaze and logarithm of its standard deviation from features of both eyes and
        measures.
        """
        seen = self.drop(functional.relu(self.hidden(torch.cat([left, right, known], 1))))
        added = self.output(seen)
        return self.direct(known) + added[:, :2], added[:, 2:]


def _block(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def sigma_of(log_sigma: torch.Tensor) -> torch.Tensor:
    """Returns the standard deviations, radians."""
    return log_sigma.exp() + _LEAST_SIGMA


def small_eyes(crops: torch.Tensor) -> torch.Tensor:
    """Crops [N, 1, 64, 96] with gray levels from 0 to 255 as the network takes them."""
    return functional.avg_pool2d(crops, 2) / 127.5 - 1
