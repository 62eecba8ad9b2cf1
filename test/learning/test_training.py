"""Losses and samplers of the multitask network and MIMAMO-Net, held to the published values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from face_perception.learning import samplers
from face_perception.learning.concordance import ccc
from face_perception.learning.mimamo.loss import mimamo_loss
from face_perception.learning.multitask import losses

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


def test_bins_have_edges() -> None:
    values = torch.tensor([-1.0, -0.95, -0.9, 0.0, 0.95, 1.0])
    assert losses.bins_of(values).tolist() == [0, 0, 1, 10, 19, 19]


def test_ccc_of_known_values() -> None:
    x = torch.linspace(-1, 1, 9)
    assert ccc(x, x) == pytest.approx(1)
    assert ccc(x, -x) == pytest.approx(-1)
    # The same but for a shift by its standard deviation: 2 / (2 + 1).
    assert ccc(x, x + x.std()) == pytest.approx(2 / 3)


def test_equal_labels_have_a_gradient() -> None:
    said = torch.tensor([0.1, 0.4, 0.2], requires_grad=True)
    found = ccc(said, torch.full((3,), 0.3))
    found.backward()
    assert float(found.detach()) == 0
    assert torch.isfinite(said.grad).all()


def test_mimamo_loss_as_meant_and_as_released(shared: Path) -> None:
    with np.load(shared / "golden" / "mimamo" / "golden_seed1.npz") as file:
        x, y = (torch.from_numpy(file[f"loss_{name}"]) for name in "xy")
        meant, released = float(file["loss_value_flat"]), float(file["loss_value"])
    assert float(mimamo_loss(x, y)) == pytest.approx(meant, abs=1e-6)
    assert float(mimamo_loss(x, y, over_time=False)) == pytest.approx(released, abs=1e-6)


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


def test_cloning_ends_where_rarity_does_or_half_are_clones() -> None:
    """By counts alone, whatever is drawn: 32 more at a time, at least once a rare label."""
    few = np.zeros((1000, 3), np.uint8)
    few[:500, 0], few[500:600, 1], few[600:900, 2] = 1, 1, 1
    clones = _clones(few)
    # 100, 132, ... 260: the first of which 500 are at most twice.
    assert clones[500:600].sum() == 5 * 32
    assert not clones[:500].any()
    assert not clones[600:].any()
    scarce = np.zeros((1000, 3), np.uint8)
    scarce[:900, 0], scarce[900:910, 1], scarce[910:920, 2] = 1, 1, 1
    clones = _clones(scarce)
    # 450 would need 14 times 32 each; the second stops when 500 of the 1000 are passed.
    assert clones[900:910].sum() == 14 * 32
    assert clones[910:920].sum() == 2 * 32


def test_a_label_that_nobody_has_is_not_cloned() -> None:
    labels = np.zeros((100, 2), np.uint8)
    labels[:40, 0] = 1
    np.testing.assert_allclose(samplers.label_weights(labels), 1 / 100)


def _clones(labels: np.ndarray) -> np.ndarray:
    """How often each sample was drawn, counted as it is drawn: a weight cannot say 0 from 1."""
    clones = np.zeros(len(labels), int)

    class Counted(np.random.RandomState):
        def choice(self, *args: object) -> np.ndarray:
            drawn: np.ndarray = super().choice(*args)
            np.add.at(clones, drawn, 1)
            return drawn

    samplers.label_weights(labels, Counted(3))
    return clones


def test_balanced_labels_are_left_alone() -> None:
    labels = np.tile(np.eye(4, dtype=np.uint8), (25, 1))
    np.testing.assert_allclose(samplers.label_weights(labels), 1 / 100)
