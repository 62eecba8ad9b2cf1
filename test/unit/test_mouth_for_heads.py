"""Tests what other heads get of the mouth: ARKit's blendshapes and Oculus's visemes."""

from __future__ import annotations

import numpy as np
import pytest

from face_perception.speech import (
    REST,
    VISEMES,
    MouthShape,
    Phone,
    articulation,
    blendshapes_of,
    visemes_of,
)
from face_perception.types import BLENDSHAPES


@pytest.mark.parametrize(
    ("phoneme", "viseme", "moves"),
    [
        ("p", "PP", "mouthPressLeft"),
        ("f", "FF", "mouthRollLower"),
        ("ɑ", "aa", "jawOpen"),
        ("u", "ou", "mouthPucker"),
        ("ʃ", "CH", "mouthUpperUpLeft"),
        ("s", "SS", "mouthLowerDownRight"),
    ],
)
def test_phonemes_give_their_viseme_and_move_their_shapes(
    phoneme: str, viseme: str, moves: str
) -> None:
    shape = MouthShape(*articulation([Phone(phoneme, 0.0, 0.4)], 40)[20])
    assert VISEMES[int(visemes_of(shape).argmax())] == viseme
    strengths = dict(zip(BLENDSHAPES, blendshapes_of(shape), strict=True))
    assert strengths[moves] > 0.2
    assert all(0 <= value <= 1 for value in strengths.values())


def test_at_rest_nothing_moves() -> None:
    assert not blendshapes_of(REST).any()
    assert VISEMES[int(visemes_of(REST).argmax())] == "sil"


def test_visemes_add_up_to_one() -> None:
    random = np.random.default_rng(1)
    for weights in [*random.random((50, 6)), np.ones(6), np.zeros(6)]:
        found = visemes_of(MouthShape(*weights))
        assert found.shape == (15,)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
