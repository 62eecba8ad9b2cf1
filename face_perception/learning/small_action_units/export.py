"""Exports the small model for action units as an ONNX graph."""

from __future__ import annotations

import torch
from torch import nn

from face_perception.faces import ALIGNED_SIDE
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.small_action_units.network import CODES, SmallActionUnits, small_faces

INPUT, OUTPUT = "face", "intensity"


# Units that are exported, because the model recognises them on real people better than landmarks do
# without a neutral face, or the mean of both does (docs/training.md), and the raw intensities that
# become 0 and 1. 0 is the median of 73 neutral faces (press photographs). 1 is the third quartile
# of faces that contain the unit (peaks of CK+), or at least so high that nine of ten neutral faces
# are below 0.5. Both are of the half of the people on which the recipe was chosen.
REAL_PEOPLE: dict[int, tuple[float, float]] = {
    1: (0.126, 0.285),
    2: (0.108, 0.254),
    4: (0.121, 0.331),
    6: (0.012, 0.180),
    9: (0.087, 0.225),
    15: (0.125, 0.261),
    20: (0.052, 0.111),
    26: (0.179, 0.500),
}


class _Graph(nn.Module):
    """The model for inference: takes aligned faces as ``faces.aligned_face`` cuts them."""

    chosen: torch.Tensor
    zero: torch.Tensor
    one: torch.Tensor

    def __init__(self, network: SmallActionUnits) -> None:
        super().__init__()
        self.network = network
        zero, one = zip(*REAL_PEOPLE.values(), strict=True)
        self.register_buffer("chosen", torch.tensor([CODES.index(code) for code in REAL_PEOPLE]))
        self.register_buffer("zero", torch.tensor(zero))
        self.register_buffer("one", torch.tensor(one))

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        found = self.network(small_faces(face))[:, self.chosen]
        return (found - self.zero) / (self.one - self.zero)


def small_action_units_onnx(network: SmallActionUnits) -> bytes:
    """Returns the ONNX file: RGB faces [N, 3, 112, 112] from 0 to 255, to intensities.

    The intensities [N, 8] are those of ``REAL_PEOPLE``. They may be below 0 or above 1.
    """
    example = torch.full((2, 3, ALIGNED_SIDE, ALIGNED_SIDE), 128.0)
    return to_onnx(_Graph(network), [example], [INPUT], [OUTPUT])
