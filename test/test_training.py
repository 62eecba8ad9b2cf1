"""Losses and samplers of the multitask network and MIMAMO-Net, held to the published values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from face_perception.training import ccc, samplers  # noqa: E402
from face_perception.training import multitask_losses as losses  # noqa: E402

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


def test_bins_have_edges() -> None:
    values = torch.tensor([-1.0, -0.95, -0.9, 0.0, 0.95, 1.0])
    assert losses.bins_of(values).tolist() == [0, 0, 1, 10, 19, 19]


def test_ccc_of_known_values() -> None:
    x = torch.linspace(-1, 1, 9)
    assert ccc.ccc(x, x) == pytest.approx(1)
    assert ccc.ccc(x, -x) == pytest.approx(-1)
    # The same but for a shift by its standard deviation: 2 / (2 + 1).
    assert ccc.ccc(x, x + x.std()) == pytest.approx(2 / 3)


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
    """Which samples the published draw cloned depends on its generator's state; what it aims at
    does not: the rare labels' share, and half of all samples at most.
    """
    labels = golden["sampler_AU_labels"]
    want = golden["sampler_AU_weights_npseed"]
    ratios = samplers.imbalance(labels)
    np.testing.assert_allclose(ratios, golden["sampler_AU_irlbl"], rtol=1e-6)
    found = samplers.label_weights(labels, np.random.RandomState(0))
    clones = np.rint(found * len(labels))
    assert clones.sum() == pytest.approx(np.rint(want * len(labels)).sum(), rel=0.03)
    rare = labels[:, ratios > 2].any(axis=1)
    assert (clones[~rare] == 1).all()
    assert (np.rint(want * len(labels))[~rare] == 1).all()
    shares = [(weights[:, None] * labels).sum(0) / weights.sum() for weights in (found, want)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.03)


def test_balanced_labels_are_left_alone() -> None:
    labels = np.tile(np.eye(4, dtype=np.uint8), (25, 1))
    np.testing.assert_allclose(samplers.label_weights(labels), 1 / 100)
