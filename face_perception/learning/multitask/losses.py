"""Training losses of the multitask network: those of a teacher, and those of a student.

Source: Deng, Chen and Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020, and its
released code. Each sample has labels of one task only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F

from face_perception.learning.concordance import ccc

TASKS = ("EXPR", "AU", "VA")
BINS = 20
_AU_WEIGHT = 8.0  # weight of action units in the teacher's loss; a student's loss has none
_TEMPERATURE = 1.5
_OF_LABELS = 0.6  # weight of the labels if a student has labels and a teacher

Logits = Mapping[str, torch.Tensor]


def expression_loss(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Returns the cross entropy of logits [N, 7] and classes [N]."""
    return F.cross_entropy(logits, label)


def action_unit_loss(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Returns the mean binary cross entropy of logits [N, 8] and labels [N, 8], 0 or 1."""
    return F.binary_cross_entropy_with_logits(logits, label)


def valence_arousal_loss(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Returns the losses [2] of valence and arousal: 1 - CCC + cross entropy of the bin.

    The CCC is that of the expected value. ``logits`` [N, 40] are the bins of valence, then those of
    arousal; ``label`` [N, 2] is in [-1, 1].
    """
    values = torch.linspace(-1, 1, BINS, device=logits.device)
    found = []
    for half, truth in zip(logits.split(BINS, dim=1), label.unbind(1), strict=True):
        expected = F.softmax(half, dim=1) @ values
        found.append(1 - ccc(expected, truth) + F.cross_entropy(half, bins_of(truth)))
    return torch.stack(found)


def bins_of(values: torch.Tensor) -> torch.Tensor:
    """Returns the index of the bin, of 20 bins of width 0.1, of each value in [-1, 1]."""
    edges = torch.linspace(-1, 1, BINS + 1, device=values.device, dtype=values.dtype)
    return (torch.bucketize(values.contiguous(), edges, right=True) - 1).clamp(0, BINS - 1)


_TASK_LOSSES: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "EXPR": expression_loss,
    "AU": action_unit_loss,
    "VA": valence_arousal_loss,
}


def teacher_loss(logits: Logits, labels: Logits) -> torch.Tensor:
    """Returns the sum over tasks; ``logits[task]`` are those of the task's head on its batch."""
    expression = expression_loss(logits["EXPR"], labels["EXPR"])
    units = action_unit_loss(logits["AU"], labels["AU"])
    affect = valence_arousal_loss(logits["VA"], labels["VA"]).sum()
    return expression + _AU_WEIGHT * units + affect


def distillation_loss(task: str, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Returns the distance of a student's head from the teacher's: [2] for VA, else a scalar.

    It is the Kullback-Leibler divergence at temperature 1.5, not multiplied by the squared
    temperature, averaged over the batch; for action units, the binary cross entropy to the
    teacher's probabilities.
    """
    if task == "AU":
        return F.binary_cross_entropy_with_logits(student, torch.sigmoid(teacher))
    if task == "EXPR":
        return _divergence(student, teacher)
    halves = zip(student.split(BINS, dim=1), teacher.split(BINS, dim=1), strict=True)
    return torch.stack([_divergence(s, t) for s, t in halves])


def student_loss(
    student: Mapping[str, Logits], teacher: Mapping[str, Logits], labels: Logits
) -> torch.Tensor:
    """Returns a student's loss on one batch of each task.

    ``student[batch][head]`` and ``teacher[batch][head]`` are logits. Every head is compared with
    the teacher on every batch. If the batch has labels of the head, they have a weight of 0.6. The
    loss is summed over heads and averaged over batches.
    """
    total = torch.zeros(())
    for batch in TASKS:
        for head in TASKS:
            loss = distillation_loss(head, student[batch][head], teacher[batch][head]).sum()
            if head == batch:
                own = _TASK_LOSSES[head](student[batch][head], labels[head]).sum()
                loss = (1 - _OF_LABELS) * loss + _OF_LABELS * own
            total = total + loss
    return total / len(TASKS)


def _divergence(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return F.kl_div(
        F.log_softmax(student / _TEMPERATURE, dim=1),
        F.softmax(teacher / _TEMPERATURE, dim=1),
        reduction="batchmean",
    )
