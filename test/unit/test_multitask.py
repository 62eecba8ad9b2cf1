"""Tests the results of the multitask networks' logits, and that a sequence equals offline
results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import affect_models
import numpy as np
import pytest
from motion_crops import patches
from numpy.typing import NDArray

from face_perception import affect
from face_perception.affect import (
    FaceAffect,
    MultitaskNet,
    MultitaskSequence,
    SequenceSettings,
)
from face_perception.affect.multitask import MultitaskDecoder, load_multitask, multitask_input
from face_perception.inference import ModelError, find_card, load, used_cards
from face_perception.types import FaceCrop

Array = NDArray[Any]


@pytest.fixture(scope="module", autouse=True)
def models(empty_models: Path) -> Path:
    """A model cache with small networks."""
    affect_models.install_multitask()
    return empty_models


def test_a_unit_is_active_above_its_own_threshold() -> None:
    logit = lambda p: float(np.log(p / (1 - p)))  # noqa: E731
    logits = {"expression_logits": np.zeros(7), "va_logits": np.zeros(40)}
    for sign in (1, -1):
        au = np.array([logit(t) + sign * 1e-3 for t in affect_models.THRESHOLDS])
        found = MultitaskDecoder(load("multitask")).decode("f", {**logits, "au_logits": au})
        assert list(found.units.units) == affect_models.AU
        assert [u.active for u in found.units.units.values()] == [sign > 0] * 8
    assert found.expression.confidence == pytest.approx(0)
    assert found.valence_arousal.valence == pytest.approx(0)
    sure = np.full(40, -50.0)
    sure[[0, 39]] = 50
    found = MultitaskDecoder(load("multitask")).decode(
        "f", {**logits, "au_logits": au, "va_logits": sure}
    )
    assert found.valence_arousal.valence == pytest.approx(-1)
    assert found.valence_arousal.arousal == pytest.approx(1)
    assert found.valence_arousal.confidence == pytest.approx(1)


def test_nan_logits_give_nan_results() -> None:
    logits = {"au_logits": np.full(8, np.nan), "expression_logits": np.full(7, np.nan)}
    found = MultitaskDecoder(load("multitask")).decode(
        "f", {**logits, "va_logits": np.full(40, np.nan)}
    )
    assert found.expression.label == ""
    assert not any(unit.active for unit in found.units.units.values())
    assert np.isnan(found.valence_arousal.valence)
    assert np.isnan(found.valence_arousal.confidence)


def test_a_batch_gives_the_same_as_single_faces() -> None:
    net = MultitaskNet(load("multitask"))
    crops = [patches(1, f"face_{k}", seed=k)[0] for k in range(3)]
    together = net.estimate(crops)
    assert [f.units.face_id for f in together] == [c.face_id for c in crops]
    assert {f.expression.source for f in together} == {"multitask"}
    for crop, found in zip(crops, together, strict=True):
        np.testing.assert_allclose(numbers(net.estimate([crop])[0]), numbers(found), atol=1e-6)
    assert net.estimate([]) == []


def numbers(found: FaceAffect) -> Array:
    va = found.valence_arousal
    units = [unit.probability for unit in found.units.units.values()]
    return np.array([*units, *found.expression.probability, va.valence, va.arousal])


def sequence(look_ahead: int = 0) -> MultitaskSequence[int]:
    made = load_multitask(load("multitask_rnn"), load, SequenceSettings(look_ahead=look_ahead))
    assert isinstance(made, MultitaskSequence)
    assert [model.name for model in made.models] == ["multitask_rnn_trunk", "multitask_rnn"]
    return made


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_streaming_equals_offline(look_ahead: int) -> None:
    crops = patches(20)
    net = sequence(look_ahead)
    features = load("multitask_rnn_trunk").infer({"face": multitask_input(crops)})["features"]
    heads, decode = load("multitask_rnn"), MultitaskDecoder(load("multitask_rnn")).decode
    results = []
    for t, crop in enumerate(crops):
        found = net.estimate(t, 5 + t / 30, [crop])
        if t < look_ahead:
            assert found == []
            continue
        ((tag, (result,)),) = found
        assert tag == t - look_ahead
        logits = heads.infer({"features": features[None, max(0, t - 7) : t + 1]})
        at = {name: value[0, -1 - look_ahead] for name, value in logits.items()}
        np.testing.assert_allclose(numbers(result), numbers(decode("f", at)), atol=1e-5)
        results.append(numbers(result))
    # The last images come from the newest window.
    logits = heads.infer({"features": features[None, -8:]})
    for later, (tag, (result,)) in zip(reversed(range(look_ahead)), net.finish(), strict=True):
        assert tag == len(crops) - 1 - later
        at = {name: value[0, -1 - later] for name, value in logits.items()}
        np.testing.assert_allclose(numbers(result), numbers(decode("f", at)), atol=1e-5)
    assert net.finish() == []
    assert np.ptp(results, axis=0).max() > 0.01, "the estimates differ from image to image"


def test_sequences_start_again_after_interruptions() -> None:
    crops, others = patches(12, seed=1), patches(4, seed=2)

    def last(net: MultitaskSequence[int], begin: float) -> Array:
        for t, crop in enumerate(crops):
            found = net.estimate(t, begin + t / 30, [crop])
        return numbers(found[-1][1][0])

    fresh = last(sequence(), 10)
    for interruption in (11.0, 9.0):  # seconds: a gap, a stamp that goes back
        net = sequence()
        for t, crop in enumerate(others):
            net.estimate(t, 10 + t / 30, [crop])
        np.testing.assert_allclose(last(net, interruption), fresh, atol=1e-6)
    net = sequence()
    for t, crop in enumerate(others):
        net.estimate(t, 10 + t / 30, [crop])
    assert net.estimate(9, 10.2, []) == [(9, [])]
    np.testing.assert_allclose(last(net, 10.25), fresh, atol=1e-6)


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_an_image_that_fails_is_skipped(look_ahead: int) -> None:
    """Each later result still belongs to its image, and comes once."""
    graph = affect_models.Net(face=("N", 3, 112, 112))
    darkest = graph.node("ReduceMin", "face", keepdims=0)
    # The index is 0 (2 for a white face) and the constant has one element, so the run fails.
    index = graph.node("Cast", graph.node("Mul", darkest, graph.constant(1 / 100)), to=7)
    factor = graph.node("Gather", graph.constant([1.0]), index)
    mean = graph.node("Mul", affect_models._patches(graph), factor)
    graph.output("features", graph.linear(mean, 12, 384, 0.5, 7), ("N", 384))
    graph.install("fails_at_white")
    trunk, heads = load("fails_at_white"), load("multitask_rnn")
    one, two = patches(10, "face_1", 1), patches(10, "face_2", 2)
    white = FaceCrop("face_1", np.full_like(one[0].image, 255), one[0].transform)
    found: list[tuple[int, list[FaceAffect]]] = []
    wanted: list[tuple[int, list[FaceAffect]]] = []
    for failing, out in ((True, found), (False, wanted)):
        net = MultitaskSequence[int](trunk, heads, window=8, look_ahead=look_ahead)
        for t in range(10):
            if t == 5:
                # The second face has left in this image.
                if failing:
                    with pytest.raises(ModelError, match="fails_at_white"):
                        net.estimate(t, t / 30, [white])
                continue
            out += net.estimate(t, t / 30, [one[t], two[t]] if t < 5 else [one[t]])
        out += net.finish()
    assert [tag for tag, _ in found] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    for (_, here), (_, there) in zip(found, wanted, strict=True):
        assert [f.units.face_id for f in here] == [f.units.face_id for f in there]
        for a, b in zip(here, there, strict=True):
            np.testing.assert_allclose(numbers(a), numbers(b), atol=1e-6)


def test_faces_with_sequences_of_different_length() -> None:
    one, two = patches(10, "face_1", 1), patches(10, "face_2", 2)
    net, alone = sequence(), sequence()
    for t in range(10):
        together = net.estimate(t, t / 30, [one[t]] if t < 4 else [two[t], one[t]])
        single = alone.estimate(t, t / 30, [one[t]])
    assert [f.units.face_id for f in together[0][1]] == ["face_2", "face_1"]
    np.testing.assert_allclose(numbers(together[0][1][1]), numbers(single[0][1][0]), atol=1e-5)


def test_a_face_that_leaves_gets_results_for_all_its_images() -> None:
    one, two = patches(10, "face_1", 1), patches(10, "face_2", 2)
    net, alone = sequence(3), sequence(3)
    found, wanted = [], []
    for t in range(10):
        found += net.estimate(t, t / 30, [one[t], two[t]] if t < 6 else [one[t]])
        if t < 6:
            wanted += alone.estimate(t, t / 30, [two[t]])
    found += net.finish()
    wanted += alone.finish()
    assert [tag for tag, _ in found] == list(range(10))
    for tag, (result,) in wanted:
        faces = {f.units.face_id: f for f in found[tag][1]}
        assert set(faces) == {"face_1", "face_2"}
        np.testing.assert_allclose(numbers(faces["face_2"]), numbers(result), atol=1e-5)
    assert len(wanted) == 6
    assert all(len(faces) == 1 for _, faces in found[6:])


def test_errors_name_what_cannot_be_used(models: Path) -> None:
    net = affect_models.Net(face=("N", 3, 112, 112))
    affect_models._heads(net, affect_models._patches(net), 12, ("N",))
    facts = {**affect_models._decoding(), "au_thresholds": [0.5]}
    net.install("without_thresholds", **facts)
    with pytest.raises(ModelError, match="fact au_thresholds of its card must be a list of 8"):
        MultitaskNet(load("without_thresholds"))
    with pytest.raises(ModelError, match="multitask_rnn_trunk has input face"):
        MultitaskNet(load("multitask_rnn_trunk"))
    with pytest.raises(ModelError, match="output probability"):
        affect.ExpressionNet(load("multitask_rnn_trunk"))
    with pytest.raises(ValueError, match="look_ahead must be from 0 to window - 1, not 8"):
        sequence(8)
    assert load_multitask(load("multitask_rnn_trunk"), load) is None
    small = FaceCrop("f", np.zeros((112, 112, 3), np.uint8), np.eye(2, 3))
    with pytest.raises(ValueError, match=r"RGB uint8 \[160, 160, 3\]"):
        MultitaskNet(load("multitask")).estimate([small])


@pytest.mark.parametrize("by_path", [False, True])
def test_the_trunk_of_a_network_that_is_used_is_used_too(models: Path, by_path: bool) -> None:
    """``run --resume`` and the record of a session must notice another trunk."""
    name = str(models / "multitask_rnn.yaml") if by_path else "multitask_rnn"
    used = used_cards([name, "3", "clip.yaml", "nothing"])
    assert {"face_mesh", "multitask_rnn", "multitask_rnn_trunk"} <= used.keys()
    assert "multitask" not in used
    trunk = find_card("multitask_rnn_trunk").sha256
    assert used["multitask_rnn_trunk"].sha256 == trunk
