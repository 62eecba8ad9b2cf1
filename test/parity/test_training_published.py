"""Losses and samplers of the multitask network and MIMAMO-Net, against the published code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from face_perception.learning.multitask import losses, samplers

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Arrays:
    return dict(np.load(shared / "golden" / "mtl" / "golden_seed1.npz"))


def tensors(golden: Arrays, what: str) -> dict[str, torch.Tensor]:
    return {task: torch.from_numpy(golden[f"loss_{what}_{task}"]) for task in losses.TASKS}


@pytest.mark.parametrize("task", losses.TASKS)
def test_losses_of_one_task(golden: Arrays, task: str) -> None:
    student, teacher = tensors(golden, "student")[task], tensors(golden, "teacher")[task]
    own = {
        "EXPR": losses.expression_loss,
        "AU": losses.action_unit_loss,
        "VA": losses.valence_arousal_loss,
    }[task](student, tensors(golden, "label")[task])
    np.testing.assert_allclose(own, golden[f"loss_task_{task}"], rtol=1e-6)
    apart = losses.distillation_loss(task, student, teacher)
    np.testing.assert_allclose(apart, golden[f"loss_distill_{task}"], rtol=1e-6)


def test_focal_loss_of_action_units(golden: Arrays) -> None:
    student, label = tensors(golden, "student")["AU"], tensors(golden, "label")["AU"]
    found = losses.focal_action_unit_loss(student, label)
    np.testing.assert_allclose(found, golden["loss_focal_AU"], rtol=1e-6)
    # What is sure and wrong costs much, and is no infinity; what is sure and right, nothing.
    sure = torch.full((1, 8), 200.0)
    assert float(losses.focal_action_unit_loss(sure, torch.zeros(1, 8))) == pytest.approx(8 * 200)
    assert float(losses.focal_action_unit_loss(sure, torch.ones(1, 8))) == 0


def test_teacher_and_student(golden: Arrays) -> None:
    student, teacher = tensors(golden, "student"), tensors(golden, "teacher")
    labels = tensors(golden, "label")
    found = losses.teacher_loss(student, labels)
    np.testing.assert_allclose(found, golden["loss_teacher_total"], rtol=1e-6)
    # The published value is of one batch for all tasks.
    found = losses.student_loss(
        dict.fromkeys(losses.TASKS, student), dict.fromkeys(losses.TASKS, teacher), labels
    )
    want = golden["loss_kd_total_same_batch_for_all_tasks"]
    np.testing.assert_allclose(found, want, rtol=1e-6)


def test_mimamo_loss_as_meant_and_as_released(shared: Path) -> None:
    with np.load(shared / "golden" / "mimamo" / "golden_seed1.npz") as file:
        x, y = (torch.from_numpy(file[f"loss_{name}"]) for name in "xy")
        meant, released = float(file["loss_value_flat"]), float(file["loss_value"])
    assert float(ccc.mimamo_loss(x, y)) == pytest.approx(meant, abs=1e-6)
    assert float(ccc.mimamo_loss(x, y, over_time=False)) == pytest.approx(released, abs=1e-6)


def test_weights_of_classes_and_of_affect(golden: Arrays) -> None:
    found = samplers.class_weights(golden["sampler_EXPR_labels"])
    np.testing.assert_allclose(found, golden["sampler_EXPR_weights"], rtol=1e-12)
    found = samplers.affect_weights(golden["sampler_VA_labels"])
    np.testing.assert_allclose(found, golden["sampler_VA_weights"], rtol=1e-12)


def test_rare_labels_are_cloned(golden: Arrays) -> None:
    labels = golden["sampler_AU_labels"]
    ratios = samplers.imbalance(labels)
    np.testing.assert_allclose(ratios, golden["sampler_AU_irlbl"], rtol=1e-6)
    want = golden["sampler_AU_weights_npseed"]
    found = samplers.label_weights(labels, np.random.RandomState(1))
    np.testing.assert_allclose(found, want, rtol=1e-12)
    # The samples depend on the generator's state; what they are for does not.
    other = samplers.label_weights(labels, np.random.RandomState(2))
    assert (other != want).any()
    shares = [(weights[:, None] * labels).sum(0) / weights.sum() for weights in (other, want)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.03)
    common = ~labels[:, ratios > 2].any(axis=1)
    np.testing.assert_allclose(other[common], 1 / len(labels))
