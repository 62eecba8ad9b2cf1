"""How often each sample is drawn, so that rare labels are seen: weights [N] to draw with.

Source: the multitask network's released code (``--force_balance``); ML-ROS is Charte et al. 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MOST_CLONES = 0.5  # of all samples
_DRAWN = 32  # clones at a time
_IMBALANCED = 2.0
_CELLS = 20


def class_weights(labels: Array) -> Array:
    """One over how many samples have the class; ``labels`` [N] are class numbers."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Array = 1.0 / counts[inverse]
    return weights


def affect_weights(labels: Array) -> Array:
    """One over how many samples share the cell of a 20 by 20 histogram of valence and arousal
    [N, 2], from the least to the largest value of each.
    """
    counts, *edges = np.histogram2d(labels[:, 0], labels[:, 1], bins=_CELLS)
    cells = [
        np.clip(np.digitize(values, edge) - 1, 0, _CELLS - 1)
        for values, edge in zip(labels.T, edges, strict=True)
    ]
    weights: Array = 1.0 / counts[tuple(cells)]
    return weights


def imbalance(labels: Array) -> Array:
    """Of each label [N, C] how many times rarer it is than the most frequent: [C] (IRLbl)."""
    counts = labels.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Array = counts.max() / counts
    return ratios


def label_weights(labels: Array, random: Any = np.random) -> Array:
    """ML-ROS: of labels [N, C], positives of the rare ones are cloned, 32 at a time, until each is
    at most twice rarer than the most frequent, or half of all samples are clones.

    A weight is the number of a sample's clones over N. As released, one clone counts like none, a
    clone is among the positives that the label's next 32 are drawn from, and what is rare is
    decided before the first is drawn, so that each rare label is drawn for at least once.
    ``random`` has ``choice``: numpy's module of that name, or a RandomState.
    """
    count = len(labels)
    clones = np.zeros(count, np.int64)
    totals = labels.sum(axis=0, dtype=np.int64)
    # A label that no sample has cannot be cloned.
    rare = (totals > 0) & (imbalance(labels) > _IMBALANCED)
    for label in np.flatnonzero(rare):
        positive = np.flatnonzero(labels[:, label])
        while True:
            drawn = random.choice(positive, _DRAWN)
            positive = np.concatenate([positive, drawn])
            np.add.at(clones, drawn, 1)
            totals += labels[drawn].sum(axis=0, dtype=np.int64)
            if clones.sum() >= count * _MOST_CLONES:
                return _of(clones)
            if totals.max() / totals[label] <= _IMBALANCED:
                break
    return _of(clones)


def _of(clones: Array) -> Array:
    weights: Array = np.maximum(clones, 1) / len(clones)
    return weights
