"""Exports GEDDnet and Dilated-Net as ONNX graphs with folded constants and unchanged outputs.

Normalisation follows ReLU, so it is folded into the next layer; the dilated layers have no padding,
so that this is exact. A gray image needs one channel instead of three, and both eyes go through the
trunk in one batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from face_perception.errors import InputError
from face_perception.learning.geddnet.batch_renorm import BatchRenorm
from face_perception.learning.geddnet.network import (
    EYE_SIZE,
    FACE_SIZE,
    MEANS,
    PER_RADIAN,
    GEDDnet,
    Stack,
)
from face_perception.learning.onnx_export import to_onnx

OUTPUT = "gaze"


def input_sizes(network: GEDDnet) -> dict[str, tuple[int, int]]:
    """Returns the names of the network's inputs, in order, with each crop's (height, width)."""
    eyes = {"left_eye": EYE_SIZE, "right_eye": EYE_SIZE}
    return {"face": FACE_SIZE, **eyes} if network.has_face else eyes


def bias_facts(network: GEDDnet) -> dict[str, Any]:
    """Returns the standard deviation of the training subjects' biases, radians, for the card."""
    if not network.subjects:
        return {}
    deviation = network.bias.detach().std(0, unbiased=False) / PER_RADIAN
    return {
        "bias_deviation": [round(float(value), 6) for value in deviation],
        "subjects": network.subjects,
    }


# The gray level that is subtracted. A second, constant channel carries the differences of the three
# channel means from it.
_MEAN = sum(MEANS) / 3
# Value of the constant channel: as large as a gray level, so that INT8 rounds neither to 0.
_CONSTANT = 64.0

_SCALE = 1 / 100


class FoldedGEDDnet(nn.Module):
    """The network for inference: gray crops, as for ``GEDDnet`` -> pitch and yaw [N, 2], radians.

    The person's bias is not included. The crops are given in the order of ``input_sizes``. Raises
    InputError for the ablation without dilations, whose padding prevents folding.
    """

    keep: torch.Tensor
    less: torch.Tensor

    def __init__(self, network: GEDDnet) -> None:
        super().__init__()
        if network.eye.pools:
            raise InputError("a network with pooling cannot be exported: make it with dilated=True")
        self.has_face = network.has_face
        with torch.no_grad():
            self.trunk = _trunk(network)
            # The gray image minus the mean, and a constant channel.
            self.register_buffer("keep", torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
            self.register_buffer("less", torch.tensor([_MEAN, -_CONSTANT]).view(1, 2, 1, 1))
            norms = []
            if self.has_face:
                self.face, of_face = _stack(network.face)
                self.face_fc1 = _dense(network.face_fc1.linear, of_face, (6, 6))
                self.face_fc2 = _dense(network.face_fc2.linear, _affine(network.face_fc1.norm))
                norms.append(network.face_fc2.norm)
            self.eye, of_eye = _stack(network.eye)
            self.left_fc = _dense(network.left_fc.linear, of_eye, (4, 6))
            self.right_fc = _dense(network.right_fc.linear, of_eye, (4, 6))
            norms += [network.left_fc.norm, network.right_fc.norm]
            parts = [_affine(norm) for norm in norms]
            scale, shift = (torch.cat([part[k] for part in parts]) for k in (0, 1))
            self.combine = _dense(network.combine.linear, (scale, shift))
            self.output = _dense(network.output, _affine(network.combine.norm))
            self.output.weight /= PER_RADIAN
            self.output.bias /= PER_RADIAN
        self.float().eval()

    def forward(self, *crops: torch.Tensor) -> torch.Tensor:
        features = []
        if self.has_face:
            face = self.face(self._features(crops[0])).flatten(1)
            features.append(functional.relu(self.face_fc2(functional.relu(self.face_fc1(face)))))
        eyes = self.eye(self._features(torch.cat(crops[-2:])))
        left, right = eyes.reshape(2, -1, self.left_fc.in_features).unbind()
        features += [functional.relu(self.left_fc(left)), functional.relu(self.right_fc(right))]
        x = functional.relu(self.combine(torch.cat(features, 1)))
        out: torch.Tensor = self.output(x)
        return out

    def _features(self, gray: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.trunk(gray * self.keep - self.less)
        return out


def geddnet_onnx(network: GEDDnet) -> bytes:
    """Returns the ONNX file of a network.

    Inputs are ``face`` [N, 1, 96, 96], if the network has one, ``left_eye`` and ``right_eye``
    [N, 1, 64, 96]: gray, histogram equalised, float32, 0 to 255. The output is ``gaze`` [N, 2],
    pitch and yaw in radians, without the person's bias.

    Raises InputError for the ablation without dilations.
    """
    inputs = input_sizes(network)
    examples = [torch.full((2, 1, *size), 128.0) for size in inputs.values()]
    return to_onnx(FoldedGEDDnet(network), examples, tuple(inputs), (OUTPUT,))


def _trunk(network: GEDDnet) -> nn.Sequential:
    """Returns the trunk for two input channels (gray and constant) instead of three.

    It divides by 100 in the first layer instead of at the end, which keeps values far from the
    limits of FP16. ReLU and max pooling commute with the division.
    """
    trunk = network.trunk
    kernel = trunk.conv1_1.weight.double()
    offsets = (_MEAN - torch.tensor(MEANS, dtype=torch.float64)).view(1, 3, 1, 1)
    gray = kernel.sum(1, keepdim=True)
    constant = (kernel * offsets).sum(1, keepdim=True) / _CONSTANT
    first = _conv(torch.cat((gray, constant), 1), trunk.conv1_1.bias, padding=1)
    first.weight *= _SCALE
    layers: list[nn.Module] = [first, nn.ReLU()]
    for conv in (trunk.conv1_2, trunk.conv2_1, trunk.conv2_2):
        layers += [_conv(conv.weight, conv.bias, padding=1), nn.ReLU()]
    for layer in layers[::2]:
        layer.bias *= _SCALE
    layers.insert(4, nn.MaxPool2d(2))
    return nn.Sequential(*layers)


_Affine = tuple[torch.Tensor, torch.Tensor]


def _affine(norm: BatchRenorm) -> _Affine:
    scale = (norm.moving_variance.double() + norm.epsilon).rsqrt()
    return scale, norm.beta.double() - norm.moving_mean.double() * scale


def _stack(stack: Stack) -> tuple[nn.Sequential, _Affine]:
    """Returns the convolutions, and the normalisation of the output, still to be applied."""
    layers: list[nn.Module] = []
    affine: _Affine | None = None
    for conv, norm in stack.layers():
        weight, bias = conv.weight.double(), conv.bias.double()
        if affine is not None:
            bias = bias + (weight * affine[1].view(1, -1, 1, 1)).sum((1, 2, 3))
            weight = weight * affine[0].view(1, -1, 1, 1)
        layers += [_conv(weight, bias, dilation=conv.dilation), nn.ReLU()]
        affine = _affine(norm)
    assert affine is not None
    return nn.Sequential(*layers), affine


def _dense(linear: nn.Linear, affine: _Affine, size: tuple[int, int] | None = None) -> nn.Linear:
    """Returns a linear layer that includes the normalisation of its input.

    With ``size`` it takes flattened feature maps in channel-first order; the original takes them
    with the channel last.
    """
    weight, bias = linear.weight.double(), linear.bias.double()
    scale, shift = affine
    by_pixel = weight.view(len(weight), -1, len(scale))
    bias = bias + (by_pixel * shift).sum((1, 2))
    by_pixel = by_pixel * scale
    if size is not None:
        by_pixel = by_pixel.transpose(1, 2)
    folded = nn.Linear(linear.in_features, linear.out_features, dtype=torch.float64)
    folded.weight.copy_(by_pixel.reshape(weight.shape))
    folded.bias.copy_(bias)
    return folded


def _conv(
    weight: torch.Tensor,
    bias: torch.Tensor,
    padding: int = 0,
    dilation: tuple[int, ...] = (1, 1),
) -> nn.Conv2d:
    outputs, inputs, height, width = weight.shape
    conv = nn.Conv2d(
        inputs,
        outputs,
        (height, width),
        padding=padding,
        dilation=(dilation[0], dilation[1]),
        dtype=torch.float64,
    )
    conv.weight.copy_(weight)
    conv.bias.copy_(bias)
    return conv
