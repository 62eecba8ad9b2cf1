"""The multitask networks: AU, expression, valence and arousal of faces and sequences.

Parameters are named as in the published state dicts (Multitask-Emotion-Recognition).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from face_perception.learning.resnet50_ferplus import FEATURES, ResNet50FERPlus

# The heads in the published order, with the number of their logits.
HEADS = {"expression": 7, "au": 8, "va": 40}
HEAD_FEATURES = 128

# FACS numbers in the order of the logits.
AU = (1, 2, 4, 6, 12, 15, 20, 25)

# Bins of valence, then as many of arousal; their values are evenly spaced from -1 to 1.
VA_BINS = 20

Logits = dict[str, torch.Tensor]


class Head(nn.Module):
    """Features [N, 2048] -> logits [N, size]."""

    def __init__(self, size: int, features: int = FEATURES) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm1d(features)
        self.fc_0 = nn.Linear(features, HEAD_FEATURES)
        self.bn1 = nn.BatchNorm1d(HEAD_FEATURES)
        self.fc_1 = nn.Linear(HEAD_FEATURES, size)

    def feature(self, pooled: torch.Tensor) -> torch.Tensor:
        """Returns the features [N, 128] of the head."""
        return self.bn1(torch.relu(self.fc_0(self.bn0(pooled))))

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.fc_1(self.feature(pooled))


class Backbone(nn.Module):
    """The trunk, with the name that the published state dicts give it."""

    def __init__(self, width: float = 1.0, shrink: int = 1) -> None:
        super().__init__()
        self.model = ResNet50FERPlus(width=width)
        self.shrink = shrink

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        if self.shrink > 1:
            face = nn.functional.avg_pool2d(face, self.shrink)
        return self.model(face)


class Multitask(nn.Module):
    """RGB [N, 3, 112, 112], 0 to 255 minus the trunk's mean -> logits by head, each [N, size].

    The defaults are those published. For training without a GPU, ``width`` is the share of the
    trunk's channels, and ``shrink`` the factor by which the face is made smaller first.
    """

    def __init__(self, *, width: float = 1.0, shrink: int = 1) -> None:
        super().__init__()
        self.backbone = Backbone(width, shrink)
        features = round(FEATURES * width)
        self.classifier = nn.ModuleList(Head(size, features) for size in HEADS.values())

    def features(self, face: torch.Tensor) -> torch.Tensor:
        """Returns the features [N, 384] of the heads, in the order of ``HEADS``."""
        pooled = self.backbone(face)
        return torch.cat([head.feature(pooled) for head in self.classifier], 1)

    def logits(self, features: torch.Tensor) -> Logits:
        """Returns the logits of ``features`` by head."""
        parts = features.split(HEAD_FEATURES, 1)
        return {
            name: head.fc_1(part)
            for name, head, part in zip(HEADS, self.classifier, parts, strict=True)
        }

    def forward(self, face: torch.Tensor) -> Logits:
        return self.logits(self.features(face))


class RecurrentHead(nn.Module):
    """Bidirectional recurrence: features of a head [B, T, 128] -> logits [B, T, size]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        half = HEAD_FEATURES // 2
        self.GRU_layer = nn.GRU(HEAD_FEATURES, half, batch_first=True, bidirectional=True)
        self.fc_1 = nn.Linear(HEAD_FEATURES, size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        # Without an explicit initial state, the exporter fixes the batch size.
        start = features.new_zeros(2, features.shape[0], self.GRU_layer.hidden_size)
        return self.fc_1(torch.relu(self.GRU_layer(features, start)[0]))


class RecurrentMultitask(nn.Module):
    """RGB [B, T, 3, 112, 112], 0 to 255 minus the trunk's mean -> logits by head, each [B, T,
    size].

    It contains a whole ``Multitask``, whose last layers are not run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Multitask()
        self.classifier = nn.ModuleList(RecurrentHead(size) for size in HEADS.values())

    def over_time(self, features: torch.Tensor) -> Logits:
        """Returns the logits of the backbone's ``features`` [B, T, 384] by head."""
        parts = features.split(HEAD_FEATURES, 2)
        return {
            name: head(part) for name, head, part in zip(HEADS, self.classifier, parts, strict=True)
        }

    def forward(self, faces: torch.Tensor) -> Logits:
        features = self.backbone.features(faces.flatten(0, 1))
        return self.over_time(features.unflatten(0, faces.shape[:2]))


def average_logits(students: Sequence[Logits]) -> Logits:
    """Returns the mean of the logits, as the published API combines an ensemble."""
    return {name: torch.stack([logits[name] for logits in students]).mean(0) for name in HEADS}


def average_probabilities(students: Sequence[Logits]) -> Logits:
    """Returns logits whose probabilities are the mean probabilities of an ensemble.

    The published evaluation averages in this way, also the bins of valence and arousal. The mean is
    computed in logarithms, which keep precision where a student is sure.
    """
    averaged = {}
    for name in HEADS:
        logits = torch.stack([student[name] for student in students])
        if name == "au":
            softplus = nn.functional.softplus
            averaged[name] = _log_mean(-softplus(-logits)) - _log_mean(-softplus(logits))
        else:
            bins = VA_BINS if name == "va" else HEADS[name]
            parts = [part.log_softmax(-1) for part in logits.split(bins, -1)]
            averaged[name] = torch.cat([_log_mean(part) for part in parts], -1)
    return averaged


def _log_mean(logarithms: torch.Tensor) -> torch.Tensor:
    """Returns the logarithm of the sum over axis 0, which differs from the mean by a constant."""
    return logarithms.logsumexp(0)
