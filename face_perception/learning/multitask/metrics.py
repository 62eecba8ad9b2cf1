"""The published measures of a multitask network: AU, EXPR and VA scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from face_perception.learning.concordance import ccc
from face_perception.learning.multitask.affect_data import AffectData
from face_perception.learning.multitask.network import (
    VA_BINS,
    Logits,
    Multitask,
    average_probabilities,
)
from face_perception.learning.resnet50_ferplus import MEAN

Array = npt.NDArray[Any]
MEASURES = ("AU", "EXPR", "VA")


def predict_logits(network: Multitask, faces: Array, batch: int = 128) -> Logits:
    """Returns the logits of faces uint8 [N, 3, 112, 112]; restores the network's mode."""
    training = network.training
    network.eval()
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(faces[i : i + batch].astype(np.float32)) - mean)
            for i in range(0, len(faces), batch)
        ]
    network.train(training)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def evaluate_networks(networks: Sequence[Multitask], data: AffectData) -> dict[str, float]:
    """Returns the published measures of a network, or of the average of several networks.

    AU: half mean F1 and half accuracy, at 0.5. EXPR: 0.67 macro F1 + 0.33 accuracy. VA: CCC of
    valence plus CCC of arousal. The parts are returned as well. Only labelled samples count.
    """
    found = [predict_logits(network, data.faces) for network in networks]
    return scores_of_logits(found[0] if len(found) == 1 else average_probabilities(found), data)


def scores_of_logits(logits: Logits, data: AffectData) -> dict[str, float]:
    """Returns the same measures as ``evaluate_networks``, from logits [N, size] by task.

    Leaves out a task for which no sample has labels.
    """
    out: dict[str, float] = {}
    index = data.of_task("AU")
    if len(index):
        said = (logits["au"][index] > 0).numpy()
        truth = data.units[index] == 1
        mean = float(np.mean([f1(said[:, k], truth[:, k]) for k in range(truth.shape[1])]))
        right = float((said == truth).mean())
        out |= {"AU": 0.5 * mean + 0.5 * right, "AU F1": mean, "AU accuracy": right}
    index = data.of_task("EXPR")
    if len(index):
        chosen, label = logits["expression"][index].argmax(1).numpy(), data.expression[index]
        mean = macro_f1(chosen, label)
        right = float((chosen == label).mean())
        out |= {"EXPR": 0.67 * mean + 0.33 * right, "EXPR F1": mean, "EXPR accuracy": right}
    index = data.of_task("VA")
    if len(index):
        said_va = valence_arousal(logits)[index]
        valence, arousal = (population_ccc(said_va[:, k], data.affect[index, k]) for k in range(2))
        out |= {"VA": valence + arousal, "CCC valence": valence, "CCC arousal": arousal}
    return out


def valence_arousal(logits: Logits) -> Array:
    """Returns valence and arousal [N, 2], the expected values of their bins."""
    values = torch.linspace(-1, 1, VA_BINS)
    halves = logits["va"].split(VA_BINS, 1)
    values_of: Array = np.stack([(half.softmax(1) @ values).numpy() for half in halves], 1)
    return values_of


def chance_scores(data: AffectData) -> dict[str, float]:
    """Returns the ``MEASURES`` of the best constant answer; the CCC of a constant is 0."""
    units = data.units[data.of_task("AU")] == 1
    absent = 0.5 * (1 - units.mean(0))
    present = 0.5 * (2 * units.mean(0) / (1 + units.mean(0)) + units.mean(0))
    label = data.expression[data.of_task("EXPR")]
    classes, counts = np.unique(label, return_counts=True)
    share = counts.max() / len(label)
    macro = 2 * share / (1 + share) / len(classes)
    return {
        "AU": float(np.maximum(absent, present).mean()),
        "EXPR": float(0.67 * macro + 0.33 * share),
        "VA": 0.0,
    }


def f1(said: Array, truth: Array) -> float:
    """Returns the F1 score of bool arrays [N]; 1 if both are False everywhere."""
    both = float((said & truth).sum())
    total = float(said.sum() + truth.sum())
    return 2 * both / total if total else 1.0


def macro_f1(said: Array, truth: Array) -> float:
    """Returns the mean F1 score of the classes that occur in ``truth`` [N]."""
    return float(np.mean([f1(said == k, truth == k) for k in np.unique(truth)]))


def population_ccc(prediction: Array, truth: Array) -> float:
    """Returns the CCC of two arrays [N], with the variances of the population."""
    p, t = (torch.from_numpy(values.astype(np.float64)) for values in (prediction, truth))
    return float(ccc(p, t, unbiased=False))
