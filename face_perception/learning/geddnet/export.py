"""GEDDnet and Dilated-Net as graphs for inference: the same answers with constants folded.

Normalisation follows ReLU, so it folds into the next layer; the dilated layers have no border, so
that is exact. Gray needs no three channels, and both eyes go through the trunk in one batch.
"""

from __future__ import annotations

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
    """Names of the network's inputs, in their order, and the height and width of each crop."""
    eyes = {"left_eye": EYE_SIZE, "right_eye": EYE_SIZE}
    return {"face": FACE_SIZE, **eyes} if network.has_face else eyes


# The gray that is subtracted; what the three means differ from it goes through a second channel.
_MEAN = sum(MEANS) / 3
# That channel's constant: of the size of a gray, so that INT8 rounds neither away.
_CONSTANT = 64.0

_SCALE = 1 / 100


class FoldedGEDDnet(nn.Module):
    """Pitch and yaw [N, 2] in radians, without bias, from gray crops as ``GEDDnet`` takes them.

    The crops come in the order of ``input_sizes``. Raises InputError for the ablation without
    dilations, whose borders do not allow folding.
    """

    keep: torch.Tensor
    less: torch.Tensor

    def __init__(self, network: GEDDnet) -> None:
        super().__init__()
        if network.eye.pools:
            raise InputError("a network with poolings is not exported: make it with dilated=True")
        self.has_face = network.has_face
        with torch.no_grad():
            self.trunk = _trunk(network)
            # Gray less the mean, and a constant.
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
    """The ONNX file: ``face`` [N, 1, 96, 96] where the network has one, ``left_eye`` and
    ``right_eye`` [N, 1, 64, 96], equalised gray, float32 0 to 255 -> ``gaze`` [N, 2], pitch and yaw
    in radians, without bias.

    Raises InputError for the ablation without dilations.
    """
    inputs = input_sizes(network)
    examples = [torch.full((2, 1, *size), 128.0) for size in inputs.values()]
    return to_onnx(FoldedGEDDnet(network), examples, tuple(inputs), (OUTPUT,))


def _trunk(network: GEDDnet) -> nn.Sequential:
    """Two channels, gray and constant, instead of three; divided by 100 at once instead of last,
    which keeps FP16 far from its limits (ReLU and pooling do not mind).
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
    """The convolutions and, not yet applied, what normalises the last one's output."""
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
    """A layer that takes its input before normalisation, and maps of ``size`` channel by channel
    where the original takes them pixel by pixel.
    """
    weight, bias = linear.weight.double(), linear.bias.double()
    scale, shift = affine
    by_pixel = weight.view(len(weight), -1, len(scale))
    bias = bias + (by_pixel * shift).sum((1, 2))
    by_pixel = by_pixel * scale
    if size is not None:
        by_pixel = by_pixel.transpose(1, 2)
    made = nn.Linear(linear.in_features, linear.out_features, dtype=torch.float64)
    made.weight.copy_(by_pixel.reshape(weight.shape))
    made.bias.copy_(bias)
    return made


def _conv(
    weight: torch.Tensor,
    bias: torch.Tensor,
    padding: int = 0,
    dilation: tuple[int, ...] = (1, 1),
) -> nn.Conv2d:
    outputs, inputs, height, width = weight.shape
    made = nn.Conv2d(
        inputs,
        outputs,
        (height, width),
        padding=padding,
        dilation=(dilation[0], dilation[1]),
        dtype=torch.float64,
    )
    made.weight.copy_(weight)
    made.bias.copy_(bias)
    return made
