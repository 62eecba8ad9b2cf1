"""Decisions and input images of the multitask networks equal those of the published code."""

from __future__ import annotations

from pathlib import Path

import affect_models
import numpy as np
import pytest
from goldens import Golden, golden

from face_perception.affect.multitask import MultitaskDecoder, multitask_input
from face_perception.inference import load
from face_perception.types import EXPRESSIONS, FaceCrop


@pytest.fixture(scope="module", autouse=True)
def models(empty_models: Path) -> Path:
    """A model cache with small networks."""
    affect_models.install_multitask()
    return empty_models


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("multitask")


def decoder(thresholds: np.ndarray) -> MultitaskDecoder:
    found = MultitaskDecoder(load("multitask"))
    found.thresholds = thresholds.tolist()
    return found


@pytest.mark.parametrize(("network", "thresholds"), [("cnn", "cnn"), ("rnn", "rnn_32")])
def test_published_decisions(published: Golden, network: str, thresholds: str) -> None:
    decode = decoder(published[f"thresholds_{thresholds}"]).decode
    logits = {
        f"{ours}_logits": published[f"{network}_{theirs}_logits"].reshape(-1, size)
        for ours, theirs, size in (("au", "AU", 8), ("expression", "EXPR", 7), ("va", "VA", 40))
    }
    count = len(logits["va_logits"])
    found = [decode("f", {name: v[i] for name, v in logits.items()}) for i in range(count)]
    units = [[unit.active for unit in f.units.units.values()] for f in found]
    assert np.array_equal(units, published[f"{network}_api_AU"].reshape(count, 8) == 1)
    classes = [EXPRESSIONS.index(f.expression.label) for f in found]
    assert classes == published[f"{network}_api_EXPR"].ravel().tolist()
    affects = [(f.valence_arousal.valence, f.valence_arousal.arousal) for f in found]
    np.testing.assert_allclose(affects, published[f"{network}_api_VA"].reshape(count, 2), atol=1e-6)
    probability = 1 / (1 + np.exp(-logits["au_logits"].astype(float)))
    got = [[unit.probability for unit in f.units.units.values()] for f in found]
    np.testing.assert_allclose(got, probability, atol=1e-9)


def test_published_input_exactly(published: Golden) -> None:
    border = ((24, 24), (24, 24), (0, 0))
    crops = [
        FaceCrop("f", np.pad(face, border), np.eye(2, 3)) for face in published["faces_u8"][:2]
    ]
    mean = np.array([131.0912, 103.8827, 91.4953], np.float32)[:, None, None]
    np.testing.assert_allclose(
        (multitask_input(crops) - mean)[:, :, ::4], published["input_first2"], atol=1e-4
    )
