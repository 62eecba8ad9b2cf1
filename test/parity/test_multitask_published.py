"""Decisions and input images of the multitask networks, against the published code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import affect_models
import numpy as np
import pytest
from numpy.typing import NDArray

from face_perception.affect.multitask import MultitaskDecoder, multitask_input
from face_perception.inference import load
from face_perception.types import EXPRESSIONS, FaceCrop

Array = NDArray[Any]


# Published thresholds of the CNN, and of the CNN-RNN over 32 frames.
THRESHOLDS = {
    "cnn": (
        *(0.1448537, 0.03918985, 0.13766725, 0.02652811),
        *(0.40589422, 0.15572545, 0.04808964, 0.10848708),
    ),
    "rnn": (
        *(0.4253935, 0.02641966, 0.1119782, 0.02978198),
        *(0.17256933, 0.06369855, 0.07433069, 0.13828614),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model cache with small multitask networks: only their cards are used here."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(folder))
        affect_models.install_multitask()
        yield folder


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Array]:
    return dict(np.load(shared / "golden" / "mtl" / "golden_seed1.npz"))


def decoder(thresholds: tuple[float, ...]) -> MultitaskDecoder:
    found = MultitaskDecoder(load("multitask"))
    found.thresholds = list(thresholds)
    return found


@pytest.mark.parametrize("network", ["cnn", "rnn"])
def test_published_decisions(golden: dict[str, Array], network: str) -> None:
    decode = decoder(THRESHOLDS[network]).decode
    logits = {
        f"{ours}_logits": golden[f"{network}_{theirs}_logits"].reshape(-1, size)
        for ours, theirs, size in (("au", "AU", 8), ("expression", "EXPR", 7), ("va", "VA", 40))
    }
    count = len(logits["va_logits"])
    found = [decode("f", {name: v[i] for name, v in logits.items()}) for i in range(count)]
    units = [[unit.active for unit in f.units.units.values()] for f in found]
    assert np.array_equal(units, golden[f"{network}_api_AU"].reshape(count, 8) == 1)
    classes = [EXPRESSIONS.index(f.expression.label) for f in found]
    assert classes == golden[f"{network}_api_EXPR"].ravel().tolist()
    affects = [(f.valence_arousal.valence, f.valence_arousal.arousal) for f in found]
    np.testing.assert_allclose(affects, golden[f"{network}_api_VA"].reshape(count, 2), atol=1e-6)
    probability = 1 / (1 + np.exp(-logits["au_logits"].astype(float)))
    got = [[unit.probability for unit in f.units.units.values()] for f in found]
    np.testing.assert_allclose(got, probability, atol=1e-9)


def test_published_input_exactly(golden: dict[str, Array]) -> None:
    border = ((24, 24), (24, 24), (0, 0))
    crops = [FaceCrop("f", np.pad(face, border), np.eye(2, 3)) for face in golden["faces_u8"][:2]]
    mean = np.array([131.0912, 103.8827, 91.4953], np.float32)[:, None, None]
    np.testing.assert_allclose(multitask_input(crops) - mean, golden["input_first2"], atol=1e-4)
