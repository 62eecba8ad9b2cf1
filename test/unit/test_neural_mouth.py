"""Tests NeuralMouth: streaming, look-ahead, closed lips for /p b m/."""

from __future__ import annotations

import numpy as np
import pytest
from speech_clip import OWN, RECORDED, STEP, envelope, noise, opening, pauses, read

from face_perception import paths
from face_perception.inference import ModelError, find_card, load
from face_perception.learning.synthesis.steady_sounds import at_level, steady_sounds
from face_perception.speech import (
    MOUTH_RATE,
    REST,
    Mouth,
    NeuralMouth,
    mouth_features,
    mouth_shape_track,
)
from face_perception.speech.neural_mouth import MOUTH_CARD


@pytest.fixture(scope="module")
def mouth() -> NeuralMouth:
    return NeuralMouth()


def shapes(mouth: Mouth, samples: np.ndarray, chunk: int = 320) -> np.ndarray:
    """Returns the weights every 10 ms, [N, 6]."""
    mouth.reset()
    for begin in range(0, len(samples), chunk):
        mouth.push_samples(samples[begin : begin + chunk])
    mouth.push_samples(
        np.zeros(round(mouth.look_ahead * MOUTH_RATE) + MOUTH_RATE // 50, np.float32)
    )
    return np.array([mouth.shape_at(i * STEP).values() for i in range(len(samples) // 160)])


def test_card_states_the_training() -> None:
    card = find_card(paths.resource(MOUTH_CARD))
    assert card.licence == "Apache-2.0"
    assert "eSpeak NG" in card.origin
    assert card.path.stat().st_size < 2_000_000
    judged = card.facts["evaluation"]["held-out voices and languages"]
    assert judged["closed"] >= 0.8
    assert judged["open"] >= 0.9


def test_look_ahead_is_enough(mouth: NeuralMouth) -> None:
    """Samples after the look-ahead do not change a shape."""
    assert mouth.look_ahead <= 0.080
    samples = read(OWN)
    known = round(0.6 * MOUTH_RATE)
    times = np.arange(0, 0.6 - mouth.look_ahead, STEP)
    mouth.reset()
    mouth.push_samples(samples[:known])
    before = [mouth.shape_at(float(t)) for t in times]
    mouth.push_samples(noise(0.5, 0.3, 0))
    assert [mouth.shape_at(float(t)) for t in times] == before
    assert any(shape != REST for shape in before)


@pytest.mark.parametrize("chunk", [1, 7, 333, 10**6])
def test_chunks_of_any_size_give_the_same(mouth: NeuralMouth, chunk: int) -> None:
    samples = read(OWN)[: MOUTH_RATE if chunk > 1 else MOUTH_RATE // 2]
    np.testing.assert_array_equal(shapes(mouth, samples, chunk), shapes(mouth, samples, 320))


def test_more_speech_at_once_than_shapes_are_kept(
    mouth: NeuralMouth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mouth_shape_track, "_KEPT", 2.0)  # seconds instead of a minute
    samples = read(OWN)[: 4 * MOUTH_RATE]
    np.testing.assert_array_equal(shapes(mouth, samples, len(samples)), shapes(mouth, samples))
    assert mouth.shape_at(2.5) != REST


def test_streaming_equals_one_run_over_all_frames(mouth: NeuralMouth) -> None:
    """The network gives the same frame by frame as for all frames at once."""
    samples = read(OWN)[: 2 * MOUTH_RATE]
    model = load(paths.resource(MOUTH_CARD), backend="onnxruntime")
    state = np.zeros([size or 1 for size in model.inputs["state"].shape], np.float32)
    features = mouth_features(samples)
    whole = model.infer({"features": features[None], "state": state})["weights"][0]
    delay = model.card.facts["delay_frames"]
    mouth.reset()
    mouth.push_samples(samples)
    for i in range(delay, len(features) - 8):
        alone = mouth._track.at((i - delay) * STEP).values()  # the network alone, without the bands
        np.testing.assert_allclose(alone, whole[i], atol=1e-4)


def test_closes_the_lips_at_bilabials(mouth: NeuralMouth) -> None:
    """The lips close for each /b/ of a series and open in between."""
    from face_perception.learning.synthesis.espeak import Request, speak
    from face_perception.speech import BILABIALS, letters

    pytest.importorskip("espeakng_loader")
    (spoken,) = speak([Request("abba, habt ihr aber Papa gesehen", "de", "f3")])
    lips = opening(shapes(mouth, spoken.samples))
    closed = [
        lips[round(p.start / STEP) : round(p.end / STEP) + 1].min() < 0.05
        for p in spoken.phones
        if set(letters(p.name)) & BILABIALS
    ]
    assert len(closed) >= 4
    assert np.mean(closed) >= 0.75
    assert lips.max() > 0.3


def test_follows_recorded_speech(mouth: NeuralMouth) -> None:
    samples = read(RECORDED)
    lips, level = opening(shapes(mouth, samples)), envelope(samples)
    assert np.corrcoef(lips, level)[0, 1] >= 0.6
    still = np.concatenate([lips[run] for run in pauses(level)])
    assert (still < 0.03).mean() >= 0.95


@pytest.mark.parametrize("exponent", [0, 1, 2])
def test_rests_in_noise(mouth: NeuralMouth, exponent: float) -> None:
    assert not shapes(mouth, noise(3, 0.1, exponent)).any()


@pytest.mark.parametrize("name", ["tone 300 Hz", "buzz 150 Hz", "short buzzes 440 Hz"])
def test_rests_while_something_hums_or_beeps(mouth: NeuralMouth, name: str) -> None:
    assert shapes(mouth, at_level(steady_sounds()[name], -20))[:, 0].max() < 0.03


def test_opens_for_quiet_speech_as_for_loud_speech(mouth: NeuralMouth) -> None:
    samples = read(RECORDED)[: 4 * MOUTH_RATE]
    loud, quiet = (opening(shapes(mouth, at_level(samples, level))) for level in (-20, -61))
    assert np.percentile(quiet, 95) > 0.8 * np.percentile(loud, 95)
    assert np.corrcoef(quiet, loud)[0, 1] > 0.85


def test_other_networks_are_refused() -> None:
    with pytest.raises(ModelError, match="not a mouth model"):
        NeuralMouth(load("voice_activity", backend="onnxruntime"))
