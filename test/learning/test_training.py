"""Losses, samplers and data of the multitask network and MIMAMO-Net."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from face_perception.learning.concordance import ccc
from face_perception.learning.multitask import losses, samplers


def test_bins_have_edges() -> None:
    values = torch.tensor([-1.0, -0.95, -0.9, 0.0, 0.95, 1.0])
    assert losses.bins_of(values).tolist() == [0, 0, 1, 10, 19, 19]


def test_ccc_of_known_values() -> None:
    x = torch.linspace(-1, 1, 9)
    assert ccc(x, x) == pytest.approx(1)
    assert ccc(x, -x) == pytest.approx(-1)
    # Equal except for a shift by the standard deviation: 2 / (2 + 1).
    assert ccc(x, x + x.std()) == pytest.approx(2 / 3)


def test_equal_labels_have_a_gradient() -> None:
    said = torch.tensor([0.1, 0.4, 0.2], requires_grad=True)
    found = ccc(said, torch.full((3,), 0.3))
    found.backward()
    assert float(found.detach()) == 0
    assert torch.isfinite(said.grad).all()


def test_cloning_ends_where_rarity_does_or_half_are_clones() -> None:
    """Whatever is drawn, it clones 32 at a time, and at least once for each rare label."""
    few = np.zeros((1000, 3), np.uint8)
    few[:500, 0], few[500:600, 1], few[600:900, 2] = 1, 1, 1
    clones = _clones(few)
    # 100, 132, ... 260: 260 is the first of which 500 are at most twice as many.
    assert clones[500:600].sum() == 5 * 32
    assert not clones[:500].any()
    assert not clones[600:].any()
    scarce = np.zeros((1000, 3), np.uint8)
    scarce[:900, 0], scarce[900:910, 1], scarce[910:920, 2] = 1, 1, 1
    clones = _clones(scarce)
    # 450 would need 14 times 32 clones of each label; the second label stops above 500 of the 1000.
    assert clones[900:910].sum() == 14 * 32
    assert clones[910:920].sum() == 2 * 32


def test_a_label_that_nobody_has_is_not_cloned() -> None:
    labels = np.zeros((100, 2), np.uint8)
    labels[:40, 0] = 1
    np.testing.assert_allclose(samplers.label_weights(labels), 1 / 100)


def _clones(labels: np.ndarray) -> np.ndarray:
    """Returns how often each sample was drawn. Weights do not show the difference between 0 and 1
    draw.
    """
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
