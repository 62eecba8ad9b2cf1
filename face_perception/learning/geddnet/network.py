"""GEDDnet in PyTorch: gaze from a face and both eyes, by dilated convolutions.

Source: Chen and Shi, "Towards High Performance Low Complexity Calibration in Appearance Based Gaze
Estimation", TPAMI 2022. With the same weights it returns the same numbers as the published
TensorFlow graph.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from face_perception.errors import InputError
from face_perception.learning.geddnet.batch_renorm import BatchRenorm

# Channel means that VGG16 was trained with, subtracted from the gray image copied to R, G and B.
MEANS = (123.68, 116.779, 103.939)

# Factor from radians to the unit of the network's output, tenths of a radian.
PER_RADIAN = 10.0

FACE_SIZE = (96, 96)  # height, width
EYE_SIZE = (64, 96)

# Dilation (height, width) of each 3x3 layer.
FACE_DILATIONS = ((2, 2), (3, 3), (5, 5), (11, 11))
EYE_DILATIONS = ((2, 2), (3, 3), (4, 5), (5, 11))

# The ablation: max pooling (height, width) before each of the four 3x3 layers and after the last.
# Sizes go from 48x48 to 6x6 and from 32x48 to 4x6, as in the dilated layers. The receptive field in
# the trunk's features is 44x44 (face) or 30x44 (eye); that of the dilated layers is 43x43 and
# 29x43.
FACE_POOLS = ((2, 2), (2, 2), (1, 1), (2, 2), (1, 1))
EYE_POOLS = ((1, 2), (2, 2), (2, 1), (1, 2), (2, 1))

Pairs = tuple[tuple[int, int], ...]


def _wide(channels: int, width: float) -> int:
    return max(round(channels * width), 1)


class Trunk(nn.Module):
    """VGG16's first four convolutions, each with ReLU; the face and both eyes share it.

    Maps a gray image [N, 1, H, W], 0 to 255, to features [N, 128, H/2, W/2], divided by 100.
    ``width`` is that of ``GEDDnet``.
    """

    means: torch.Tensor

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        first, second = _wide(64, width), _wide(128, width)
        self.conv1_1 = nn.Conv2d(3, first, 3, padding=1)
        self.conv1_2 = nn.Conv2d(first, first, 3, padding=1)
        self.conv2_1 = nn.Conv2d(first, second, 3, padding=1)
        self.conv2_2 = nn.Conv2d(second, second, 3, padding=1)
        self.register_buffer("means", torch.tensor(MEANS).view(1, 3, 1, 1), persistent=False)

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        # Means are subtracted before padding: the border is an average gray, not black.
        x = gray - self.means
        x = functional.relu(self.conv1_2(functional.relu(self.conv1_1(x))))
        x = functional.max_pool2d(x, 2)
        x = functional.relu(self.conv2_2(functional.relu(self.conv2_1(x))))
        return x / 100


class Stack(nn.Module):
    """Maps the trunk's features to 128 small feature maps.

    It has a 1x1 and four 3x3 convolutions, each followed by ReLU and batch renormalisation. With
    ``dilations`` the 3x3 layers are dilated and not padded; with ``pools`` they are ordinary layers
    between max poolings. The weights have the same shapes in both forms.
    """

    def __init__(
        self,
        *,
        dilations: Pairs | None = None,
        pools: Pairs | None = None,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if (dilations is None) == (pools is None):
            raise InputError("give a stack either dilations or pools")
        self.pools = pools
        few, many = _wide(64, width), _wide(128, width)
        channels = (few, few, many, many)
        self.conv2_3 = nn.Conv2d(many, few, 1)
        layers = []
        for k, (inputs, outputs) in enumerate(zip((few, *channels), channels, strict=False)):
            if dilations is None:
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            else:
                layers.append(nn.Conv2d(inputs, outputs, 3, dilation=dilations[k]))
        self.conv3_1, self.conv3_2, self.conv4_1, self.conv4_2 = layers
        self.norm2_3 = BatchRenorm(few)
        self.norm3_1, self.norm3_2 = BatchRenorm(few), BatchRenorm(few)
        self.norm4_1, self.norm4_2 = BatchRenorm(many), BatchRenorm(many)

    def layers(self) -> list[tuple[nn.Conv2d, BatchRenorm]]:
        """Returns the five convolutions in order, each with its normalisation."""
        names = ("2_3", "3_1", "3_2", "4_1", "4_2")
        return [(getattr(self, f"conv{n}"), getattr(self, f"norm{n}")) for n in names]

    def forward(self, x: torch.Tensor, groups: int = 1) -> torch.Tensor:
        """Maps [N, 128, H, W] to [N, h*w*128], row by row, with the channel last.

        Training mode normalises ``groups`` equal parts of the batch separately.
        """
        for k, (conv, norm) in enumerate(self.layers()):
            if self.pools and k:
                x = functional.max_pool2d(x, self.pools[k - 1])
            x = norm(functional.relu(conv(x)), groups)
        if self.pools:
            x = functional.max_pool2d(x, self.pools[-1])
        return x.permute(0, 2, 3, 1).flatten(1)


class Dense(nn.Module):
    """A fully connected layer, ReLU, and batch renormalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = BatchRenorm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(functional.relu(self.linear(x)))
        return out


class GEDDnet(nn.Module):
    """Estimates gaze (pitch and yaw in tenths of a radian) from a face and its two eyes.

    ``forward`` returns t, the part that does not depend on the person. ``bias`` is the part of each
    subject seen in training: row s for subject s, row ``subjects`` + s for the same subject
    mirrored. Gaze = (t + bias) / 10.

    Angles are the published ones: the vector (sin yaw cos pitch, sin pitch, cos yaw cos pitch) in
    the normalized camera (x right, y down, z forward) is minus the direction of the gaze. So pitch
    is positive up, yaw is positive towards the image's left, and (0, 0) looks into the camera.

    ``dilated=False`` is the ablation of the papers: pooling instead of dilation, with weights of
    the same shapes. ``face=False`` leaves out the face (Dilated-Net). ``subjects=0`` leaves out the
    biases. ``dropout`` is the dropout probability. ``width`` is the share of the published number
    of channels in every layer. Raises InputError for a ``width`` outside (0, 1].
    """

    def __init__(
        self,
        subjects: int = 50,
        *,
        dilated: bool = True,
        face: bool = True,
        dropout: float = 0.5,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < width <= 1:
            raise InputError(f"width must be in (0, 1], not {width}")
        maps, layer, last = _wide(128, width), _wide(256, width), _wide(64, width)
        self.trunk = Trunk(width)

        def stack(dilations: Pairs, pools: Pairs) -> Stack:
            if dilated:
                return Stack(dilations=dilations, width=width)
            return Stack(pools=pools, width=width)

        if face:
            self.face = stack(FACE_DILATIONS, FACE_POOLS)
            self.face_fc1 = Dense(6 * 6 * maps, layer)
            self.face_fc2 = Dense(layer, last)
        self.eye = stack(EYE_DILATIONS, EYE_POOLS)
        self.left_fc = Dense(4 * 6 * maps, layer)
        self.right_fc = Dense(4 * 6 * maps, layer)
        self.combine = Dense((last if face else 0) + 2 * layer, layer)
        self.output = nn.Linear(layer, 2)
        self.dropout = nn.Dropout(dropout)
        self.subjects = subjects
        self.has_face = face
        if subjects:
            self.bias = nn.Parameter(torch.zeros(2 * subjects, 2))

    def forward(
        self, face: torch.Tensor | None, left_eye: torch.Tensor, right_eye: torch.Tensor
    ) -> torch.Tensor:
        """Returns t [N, 2] in tenths of a radian.

        Inputs are histogram equalised gray images, float32, 0 to 255: ``face`` [N, 1, 96, 96] (None
        if the network takes none), and the person's left and right eye [N, 1, 64, 96].
        """
        features = []
        if self.has_face:
            x = self.dropout(self.face_fc1(self.face(self.trunk(face))))
            features.append(self.face_fc2(x))
        eyes = self.eye(self.trunk(torch.cat((left_eye, right_eye))), groups=2)
        left, right = eyes.unflatten(0, (2, -1)).unbind()
        features += [self.left_fc(left), self.right_fc(right)]
        x = self.dropout(torch.cat(features, 1))
        out: torch.Tensor = self.output(self.dropout(self.combine(x)))
        return out

    def gaze(
        self,
        face: torch.Tensor | None,
        left_eye: torch.Tensor,
        right_eye: torch.Tensor,
        subject: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Returns pitch and yaw [N, 2] in radians, with the biases of rows ``subject`` [N] if
        given.
        """
        t = self(face, left_eye, right_eye)
        return (t if subject is None else t + self.bias[subject]) / PER_RADIAN


# Standard deviations of the truncated normal distributions of initial weights, as published.
_INITIAL = {
    "face": (0.125, 0.06, 0.06, 0.08, 0.07),
    "eye": (0.125, 0.06, 0.06, 0.06, 0.04),
}


def initialise(
    network: GEDDnet, vgg: Mapping[str, np.ndarray], generator: torch.Generator | None = None
) -> None:
    """Sets the published initial weights.

    ``vgg`` has VGG16's arrays ``conv1_1_W`` (height, width, in, out) to ``conv2_2_b``. All other
    weights are drawn from ``generator``. Raises KeyError if ``vgg`` lacks a layer, InputError if a
    layer has another shape.
    """
    for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2"):
        conv = getattr(network.trunk, name)
        kernel = torch.from_numpy(np.ascontiguousarray(vgg[f"{name}_W"].transpose(3, 2, 0, 1)))
        bias = torch.from_numpy(np.ascontiguousarray(vgg[f"{name}_b"]))
        if kernel.shape != conv.weight.shape or bias.shape != conv.bias.shape:
            raise InputError(
                f"VGG16's {name}_W is {vgg[f'{name}_W'].shape}, {name}_b {vgg[f'{name}_b'].shape}"
            )
        with torch.no_grad():
            conv.weight.copy_(kernel)
            conv.bias.copy_(bias)

    def layer(module: nn.Conv2d | nn.Linear, deviation: float) -> None:
        _truncated(module.weight, deviation, generator)
        with torch.no_grad():
            module.bias.normal_(0, 0.001, generator=generator).abs_()

    for branch, deviations in _INITIAL.items():
        if hasattr(network, branch):
            for (conv, _), deviation in zip(
                getattr(network, branch).layers(), deviations, strict=True
            ):
                layer(conv, deviation)
    if network.has_face:
        layer(network.face_fc1.linear, 0.035)
        layer(network.face_fc2.linear, 0.1)
    layer(network.left_fc.linear, 0.026)
    layer(network.right_fc.linear, 0.026)
    layer(network.combine.linear, 0.07)
    layer(network.output, 0.125)
    if network.subjects:
        _truncated(network.bias, 0.125, generator)


def _truncated(tensor: torch.Tensor, deviation: float, generator: torch.Generator | None) -> None:
    bound = 2 * deviation
    nn.init.trunc_normal_(tensor, 0, deviation, -bound, bound, generator=generator)
