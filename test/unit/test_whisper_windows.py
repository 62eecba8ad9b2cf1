"""Tests windows of speech features for MuseTalk, at any rate and for speech in pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from whisper_windows import spoken

from face_perception.speech import (
    WhisperStateStream,
    image_count,
    image_windows,
    whisper_states,
    window_starts,
)

RATE = 16000


@pytest.mark.parametrize("fps", [24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("steps", [1, 5, 99, 101, 333])
def test_original_windows_at_any_rate(fps: float, steps: int) -> None:
    """Compares with the published loop, up to the first image after the end of the speech."""
    index = []
    while not index or int((len(index) - 1) * 50.0 / fps) <= steps:
        middle = int(len(index) * 50.0 / fps)
        index.append([min(max(k, 0), steps - 1) for k in range(middle - 4, middle + 6)])
    features = np.zeros((steps, 5, 384), np.float32)
    features[:] = np.arange(steps)[:, None, None]
    stream = spoken(features)
    found = np.stack([stream.image_window(k, fps) for k in range(len(index))])
    np.testing.assert_array_equal(found.reshape(-1, 10, 5, 384)[:, :, 0, 0], index)


def test_counts_round_like_the_published_code() -> None:
    """Exact fractions would give one more here. The rate is rounded down."""
    assert image_count(18560, 25) == 28
    assert image_count(18561, 25) == 29
    assert image_count(32000, 29.97) == image_count(32000, 29) == 58
    assert window_starts(60, 29.97).tolist() == window_starts(60, 29).tolist()
    for samples, steps in ((9280, 28), (9281, 29), (9600, 30)):
        assert len(whisper_states(np.zeros(samples, np.float32), Counting())) == steps
        stream = WhisperStateStream(Counting())
        early = stream.encode(np.zeros(9000, np.float32))
        rest = stream.encode(np.zeros(samples - 9000, np.float32), last=True)
        assert len(early) + len(rest) == steps


def test_low_rates_have_more_silence_before_the_speech() -> None:
    assert window_starts(3, 24).tolist() == [-6, -4, -2]
    assert image_windows(np.ones((4, 5, 384), np.float32), 2, 24)[0].sum() == 4 * 5 * 384


def test_empty_speech_and_invalid_rates() -> None:
    nothing = np.zeros((0, 5, 384), np.float32)
    assert image_windows(nothing, 0, 25).shape == (0, 50, 384)
    assert not image_windows(nothing, 2, 25).any()
    for fps in (0, 0.5, math.nan, math.inf):
        for way in (
            lambda fps=fps: image_windows(nothing, 1, fps),
            lambda fps=fps: image_count(1, fps),
        ):
            with pytest.raises(ValueError, match="fps"):
                way()
        with pytest.raises(ValueError, match="fps"):
            spoken(np.zeros((1, 5, 384), np.float32)).image_window(0, fps)


class Counting:
    """Is a cheap encoder whose states identify the samples that it was given."""

    def __init__(self) -> None:
        self.runs = 0

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        mel = inputs["mel"]
        assert mel.shape == (1, 80, 3000)
        steps = mel.reshape(1, 80, 1500, 2).mean((1, 3))
        return {"states": np.repeat(np.repeat(steps[..., None, None], 5, 2), 384, 3)}


def test_speech_in_pieces_gives_all_states_in_order() -> None:
    """35 s of noise reach into the second block."""
    speech = np.random.default_rng(1).uniform(-0.5, 0.5, 35 * RATE).astype(np.float32)
    whole = whisper_states(speech, Counting())
    assert whole.shape == (1750, 5, 384)
    encoder = Counting()
    stream = WhisperStateStream(encoder, look_ahead=0.4, every=1.0)
    parts, known, given = [], 0, 0
    for start in range(0, len(speech), 3210):
        piece = speech[start : start + 3210]
        known += len(piece)
        parts.append(stream.encode(piece, last=known == len(speech)))
        given += len(parts[-1])
        block = known // (30 * RATE) * 1500
        assert given <= max(known // 320 - 20, block) or known == len(speech)
        assert given >= known // 320 - 20 - 50
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-3)
    assert encoder.runs < 40
    assert len(stream.encode(speech[:RATE], last=True)) == 50  # a new speech


def test_a_negative_look_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="look_ahead"):
        WhisperStateStream(Counting(), look_ahead=-1)
