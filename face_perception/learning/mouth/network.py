"""The mouth network: log-mel frames and a state -> mouth weights and the next state."""

from __future__ import annotations

import torch
from torch import nn

from face_perception.learning.onnx_export import to_onnx

MELS, WEIGHTS = 80, 6

# Margin by which the sigmoid is stretched, so that weights reach 0 at rest and 1 for closed lips.
_DEAD = 0.05


class MouthNetwork(nn.Module):
    """Causal recurrent layers over features [B, T, 80], which can run frame by frame."""

    def __init__(self, width: int = 64, hidden: int = 96, layers: int = 2) -> None:
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.enter = nn.Linear(MELS, width)
        self.recurrent = nn.GRU(width, hidden, layers, batch_first=True)
        self.leave = nn.Linear(hidden, WEIGHTS)

    def logits(
        self, features: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns logits [B, T, 6] and the next state [B, layers, hidden]."""
        entered = torch.relu(self.enter(features))
        heard, last = self.recurrent(entered, state.transpose(0, 1).contiguous())
        return self.leave(heard), last.transpose(0, 1)

    def forward(
        self, features: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns weights [B, T, 6] in [0, 1], ordered as in ``MouthShape``, and the next state."""
        logits, last = self.logits(features, state)
        return stretched_sigmoid(logits), last

    def start(self, batch: int) -> torch.Tensor:
        """Returns the initial state [B, layers, hidden]."""
        return torch.zeros(batch, self.layers, self.hidden, device=self.leave.weight.device)


def stretched_sigmoid(logits: torch.Tensor) -> torch.Tensor:
    """Returns weights in [0, 1] of logits; unlike a sigmoid, they reach 0 and 1."""
    return ((1 + 2 * _DEAD) * torch.sigmoid(logits) - _DEAD).clamp(0, 1)


def mouth_onnx(network: MouthNetwork) -> bytes:
    """Returns the ONNX file: features [N, T, 80], state -> weights [N, T, 6], next_state."""
    return to_onnx(
        network,
        (torch.zeros(2, 3, MELS), network.start(2)),
        ("features", "state"),
        ("weights", "next_state"),
        {
            "features": {0: "N", 1: "T"},
            "state": {0: "N"},
            "weights": {0: "N", 1: "T"},
            "next_state": {0: "N"},
        },
    )
