"""Losses and samplers of the multitask networks equal those of the published code."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import Golden, golden

torch = pytest.importorskip("torch")

from face_perception.learning.multitask import losses, samplers


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("multitask")


def tensors(published: Golden, what: str) -> dict[str, torch.Tensor]:
    return {task: torch.from_numpy(published[f"loss_{what}_{task}"]) for task in losses.TASKS}


@pytest.mark.parametrize("task", losses.TASKS)
def test_losses_of_one_task(published: Golden, task: str) -> None:
    student, teacher = tensors(published, "student")[task], tensors(published, "teacher")[task]
    own = {
        "EXPR": losses.expression_loss,
        "AU": losses.action_unit_loss,
        "VA": losses.valence_arousal_loss,
    }[task](student, tensors(published, "label")[task])
    np.testing.assert_allclose(own, published[f"loss_task_{task}"], rtol=1e-6)
    apart = losses.distillation_loss(task, student, teacher)
    np.testing.assert_allclose(apart, published[f"loss_distill_{task}"], rtol=1e-6)


def test_teacher_and_student(published: Golden) -> None:
    student, teacher = tensors(published, "student"), tensors(published, "teacher")
    labels = tensors(published, "label")
    found = losses.teacher_loss(student, labels)
    np.testing.assert_allclose(found, published["loss_teacher_total"], rtol=1e-6)
    # The published value uses one batch for all tasks.
    found = losses.student_loss(
        dict.fromkeys(losses.TASKS, student), dict.fromkeys(losses.TASKS, teacher), labels
    )
    want = published["loss_kd_total_same_batch_for_all_tasks"]
    np.testing.assert_allclose(found, want, rtol=1e-6)


def test_weights_of_classes_and_of_affect(published: Golden) -> None:
    found = samplers.class_weights(published["sampler_EXPR_labels"])
    np.testing.assert_allclose(found, published["sampler_EXPR_weights"], rtol=1e-12)
    found = samplers.affect_weights(published["sampler_VA_labels"])
    np.testing.assert_allclose(found, published["sampler_VA_weights"], rtol=1e-12)


def test_rare_labels_are_cloned(published: Golden) -> None:
    labels = published["sampler_AU_labels"]
    ratios = samplers.imbalance(labels)
    np.testing.assert_allclose(ratios, published["sampler_AU_irlbl"], rtol=1e-6)
    want = published["sampler_AU_weights_npseed"]
    found = samplers.label_weights(labels, np.random.RandomState(1))
    np.testing.assert_allclose(found, want, rtol=1e-12)
    # The samples depend on the state of the generator; the shares of the labels do not.
    other = samplers.label_weights(labels, np.random.RandomState(2))
    assert (other != want).any()
    shares = [(weights[:, None] * labels).sum(0) / weights.sum() for weights in (other, want)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.03)
    common = ~labels[:, ratios > 2].any(axis=1)
    np.testing.assert_allclose(other[common], 1 / len(labels))
