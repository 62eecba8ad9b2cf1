"""Sampling weights [N] that balance rare labels.

Source: the multitask network's released code (``--force_balance``); ML-ROS is Charte et al. 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MOST_CLONES = 0.5  # largest number of clones, as a share of all samples
_DRAWN = 32  # number of clones that are drawn at a time
_IMBALANCED = 2.0
_CELLS = 20


def class_weights(labels: Array) -> Array:
    """Returns 1 / (number of samples of the class); ``labels`` [N] are class numbers."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Array = 1.0 / counts[inverse]
    return weights


def affect_weights(labels: Array) -> Array:
    """Returns 1 / (number of samples in the same histogram cell) for labels [N, 2].

    The histogram of valence and arousal has 20 by 20 cells between the smallest and the largest
    values.
    """
    counts, *edges = np.histogram2d(labels[:, 0], labels[:, 1], bins=_CELLS)
    cells = [
        np.clip(np.digitize(values, edge) - 1, 0, _CELLS - 1)
        for values, edge in zip(labels.T, edges, strict=True)
    ]
    weights: Array = 1.0 / counts[tuple(cells)]
    return weights


def imbalance(labels: Array) -> Array:
    """Returns how many times rarer each label [N, C] is than the most frequent one: [C] (IRLbl)."""
    counts = labels.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Array = counts.max() / counts
    return ratios


def label_weights(labels: Array, random: Any = np.random) -> Array:
    """Returns weights by ML-ROS for labels [N, C]: positives of rare labels are cloned.

    For each rare label, 32 clones are drawn at a time, until the label is at most twice rarer than
    the most frequent one, or there are half as many clones as samples. A weight is the number of
    the sample's clones, at least 1, divided by N. This follows the released code in three points: a
    sample with one clone weighs as much as one without; clones are drawn from the positive samples
    and their earlier clones; and rare labels are chosen before the first draw, so that clones
    are also drawn for a label that other draws have made frequent. ``random`` has the method
    ``choice``: ``numpy.random`` or a RandomState.
    """
    count = len(labels)
    clones = np.zeros(count, np.int64)
    totals = labels.sum(axis=0, dtype=np.int64)
    # A label without a positive sample cannot be cloned.
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
