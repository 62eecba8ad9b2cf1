"""Exports LR-ASD as an ONNX graph with folded normalisations and unchanged outputs.

The convolutions within a picture and those over time become two-dimensional ones, which the
runtimes compute faster than three-dimensional ones.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from face_perception.inference import ModelBuild, Port
from face_perception.learning.lr_asd.network import (
    COEFFICIENTS,
    DEVIATION,
    KERNELS,
    LRASD,
    MEAN,
    PER_IMAGE,
    SIDE,
    VisualBlock,
)
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.sample_faces import sample_faces

IMAGE_RATE = 25  # hertz
WINDOW = 25  # images
FACES, MFCC, OUTPUT = "faces", "mfcc", "speaking"
# Which part of the crop of 160 pixels (``faces.crop_face``) becomes the picture: left, top, side.
# AVA's boxes hold the whole face. For TalkSet and Columbia the published code cuts 0.7 of the
# detector's box, 0.2 of it below its middle. That the aligned face fits the box is our estimate.
CROPS = {"face": (24, 24, 112), "lower_face": (41, 63, 78)}


class _Folded(nn.Module):
    """A block for inference: pictures [N * T, C, H, W], T to a clip -> the same with more C."""

    def __init__(self, block: VisualBlock, window: int) -> None:
        super().__init__()
        self.window = window
        self.stride = block.s_1.stride[1]
        layers = zip(
            (block.s_1, block.s_2, block.t_1, block.t_2),
            (block.s_norm_1, block.s_norm_2, block.t_norm_1, block.t_norm_2),
            strict=True,
        )
        for k, (layer, norm) in enumerate(layers):
            weight, bias = _fold(layer.weight, norm)
            weight = weight[:, :, 0] if k < 2 else weight[..., 0]
            self.register_buffer(f"weight{k}", weight)
            self.register_buffer(f"bias{k}", bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = KERNELS
        for k, (size, stride) in enumerate(((first, self.stride), (second, 1))):
            weight, bias = self._layer(k)
            x = functional.conv2d(x, weight, bias, stride, size // 2).relu()
        _, channels, height, width = x.shape
        clips = x.reshape(-1, self.window, channels, height * width).transpose(1, 2)
        for k, size in ((2, first), (3, second)):
            weight, bias = self._layer(k)
            clips = functional.conv2d(clips, weight, bias, padding=(size // 2, 0)).relu()
        return clips.transpose(1, 2).reshape(-1, channels, height, width)

    def _layer(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        return getattr(self, f"weight{k}"), getattr(self, f"bias{k}")


class FoldedLRASD(nn.Module):
    """The network for inference on clips of ``window`` pictures; arguments as of ``LRASD``."""

    def __init__(self, network: LRASD, window: int = WINDOW) -> None:
        super().__init__()
        self.window = window
        body = network.model
        with torch.no_grad():
            encoder = body.visualEncoder
            self.blocks = nn.ModuleList(
                _Folded(block, window) for block in (encoder.block1, encoder.block2, encoder.block3)
            )
        self.sound, self.fusion, self.detector = body.audioEncoder, body.fusion, body.detector
        self.head = network.lossAV.FC
        self.eval()

    def forward(self, faces: torch.Tensor, mfcc: torch.Tensor) -> torch.Tensor:
        x = ((faces / 255 - MEAN) / DEVIATION).reshape(-1, 1, SIDE, SIDE)
        for k, block in enumerate(self.blocks):
            x = block(functional.max_pool2d(x, 3, 2, 1) if k else x)
        seen = x.amax((2, 3)).reshape(-1, self.window, x.shape[1])
        heard = self.sound(mfcc.transpose(1, 2).unsqueeze(1))
        found = self.head(self.detector(self.fusion(heard, seen)))
        # The softmax of two classes.
        probability: torch.Tensor = (found[..., 1] - found[..., 0]).sigmoid()
        return probability


def lr_asd_build(
    name: str, network: LRASD, origin: str, licence: str, *, crop: str, window: int = WINDOW
) -> ModelBuild:
    """Returns the model of a network. ``crop`` is a key of ``CROPS``; ``window`` in images."""
    folded = FoldedLRASD(network, window)
    faces = torch.full((2, window, SIDE, SIDE), 128.0)
    mfcc = torch.zeros(2, window * PER_IMAGE, COEFFICIENTS)
    return ModelBuild(
        name=name,
        onnx=to_onnx(folded, [faces, mfcc], [FACES, MFCC], [OUTPUT]),
        task="whether each of several faces speaks, from their pictures and the sound (LR-ASD)",
        licence=licence,
        origin=origin,
        inputs={
            FACES: Port(
                (None, window, SIDE, SIDE),
                "float32",
                f"gray pictures of one face, [0, 255], {IMAGE_RATE} a second, the newest last",
            ),
            MFCC: Port(
                (None, window * PER_IMAGE, COEFFICIENTS),
                "float32",
                "MFCC of the same time, of 16-bit samples: 25 ms every 10 ms, as mfcc_frames",
            ),
        },
        outputs={
            OUTPUT: Port(
                (None, window),
                "float32",
                "probability that the face speaks, for each picture",
                tolerance=0.02,
            )
        },
        facts={
            "system": "lr_asd",
            "window": window,
            "rate_hz": IMAGE_RATE,
            "crop": list(CROPS[crop]),
        },
        reference_inputs=_clips(window),
    )


def _clips(window: int) -> dict[str, np.ndarray]:
    """Returns faces that move by a pixel or two, and smooth noise as large as MFCC of speech."""
    pictures = sample_faces(SIDE, 2)
    levels = np.tensordot(pictures, np.array([0.299, 0.587, 0.114], np.float32), ((1,), (0,)))
    clips = [
        np.stack([np.roll(face, (t % 3, (t // 3) % 2), (0, 1)) for t in range(window)])
        for face in levels.round()
    ]
    random = np.random.default_rng(1)
    count = window * PER_IMAGE
    coarse = random.normal(0, 12, (2, count // 4 + 2, COEFFICIENTS))
    at = np.arange(count) / 4
    low = at.astype(int)
    share = (at - low)[None, :, None]
    mfcc = coarse[:, low] * (1 - share) + coarse[:, low + 1] * share
    mfcc[..., 0] += 10
    return {FACES: np.stack(clips).astype(np.float32), MFCC: mfcc.round(2).astype(np.float32)}


def _fold(weight: torch.Tensor, norm: nn.BatchNorm3d) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns weight and bias of a convolution that includes the normalisation of its output."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return (weight.double() * scale.view(-1, 1, 1, 1, 1)).float(), bias.float()
