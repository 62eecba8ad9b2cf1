"""What MuseTalk hears: windows as published, and streaming features beside those of the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from musetalk_weights import published_weights

from face_perception.speech import (
    WhisperStateStream,
    WhisperWindowStream,
    image_count,
    image_windows,
    read_wav,
    whisper_states,
    window_starts,
)

RATE = 16000


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden" / "musetalk" / "golden_seed1.npz"))


def spoken(states: np.ndarray) -> WhisperWindowStream:
    """A stream of MuseTalk 1.0 that has heard speech whose states are these [T, 5, 384]."""

    class Encoder:
        def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
            filled = np.zeros((1, 1500, 5, 384), np.float32)
            filled[0, : len(states)] = states
            return {"states": filled}

    stream = WhisperWindowStream(Encoder(), original=True)
    stream.append_speech(np.zeros(len(states) * RATE // 50, np.float32), last=True)
    return stream


@pytest.mark.parametrize("fps", [25, 30])
def test_windows_as_published(golden: dict[str, np.ndarray], fps: int) -> None:
    count = image_count(int(golden["wav_len"]), fps)
    steps = golden["hidden_hf"][0][:100]  # 2 s: what is behind the end is not heard
    np.testing.assert_array_equal(window_starts(count, fps), golden[f"chunk_start_fps{fps}"])
    found = image_windows(steps, count, fps)
    np.testing.assert_array_equal(found, golden[f"chunks_fps{fps}"])
    np.testing.assert_array_equal(image_windows(steps, 7, fps, first=20), found[20:27])


def test_original_windows_as_published(golden: dict[str, np.ndarray]) -> None:
    wanted = golden["v10_chunks_fps25"]
    stream = spoken(golden["v10_features"])
    found = [stream.image_window(k, 25) for k in range(len(wanted))]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("fps", [24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("steps", [1, 5, 99, 101, 333])
def test_original_windows_at_any_rate(fps: float, steps: int) -> None:
    """By the published loop, to the first image after the end of the speech."""
    index = []
    while not index or int((len(index) - 1) * 50.0 / fps) <= steps:
        middle = int(len(index) * 50.0 / fps)
        index.append([min(max(k, 0), steps - 1) for k in range(middle - 4, middle + 6)])
    features = np.zeros((steps, 5, 384), np.float32)
    features[:] = np.arange(steps)[:, None, None]
    stream = spoken(features)
    found = np.stack([stream.image_window(k, fps) for k in range(len(index))])
    np.testing.assert_array_equal(found.reshape(-1, 10, 5, 384)[:, :, 0, 0], index)


def test_counts_are_in_the_published_arithmetic() -> None:
    """Seconds as a float: exact fractions would give one more here. The rate is cut."""
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


def test_slow_clips_have_more_silence_before() -> None:
    assert window_starts(3, 24).tolist() == [-6, -4, -2]
    assert image_windows(np.ones((4, 5, 384), np.float32), 2, 24)[0].sum() == 4 * 5 * 384


def test_nothing_said() -> None:
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
    """An encoder whose states name the sample block that it was given: cheap, and exact."""

    def __init__(self) -> None:
        self.runs = 0

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        mel = inputs["mel"]
        assert mel.shape == (1, 80, 3000)
        steps = mel.reshape(1, 80, 1500, 2).mean((1, 3))
        return {"states": np.repeat(np.repeat(steps[..., None, None], 5, 2), 384, 3)}


def test_speech_in_pieces_is_the_whole_in_order() -> None:
    """35 s of noise, so into the second block; the local encoder leaves only order and counts."""
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
    assert len(stream.encode(speech[:RATE], last=True)) == 50  # a new one


def test_a_negative_look_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="look_ahead"):
        WhisperStateStream(Counting(), look_ahead=-1)


class Whisper:
    """The real encoder with the golden's weights."""

    def __init__(self, shared: Path) -> None:
        torch = pytest.importorskip("torch")
        from face_perception.learning.musetalk.whisper_encoder import WhisperEncoder

        weights = published_weights(shared)
        self._torch = torch
        self._network = WhisperEncoder().eval()
        state = weights.whisper_encoder(1)
        self._network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        with self._torch.inference_mode():
            return {"states": self._network(self._torch.from_numpy(inputs["mel"])).numpy()}


def test_streaming_real_speech(shared: Path) -> None:
    """In pieces of 0.2 s, quiet at first: whisper hears silence behind at the level that it has
    behind the whole, though the loudest is still to come.
    """
    encoder = Whisper(shared)
    recording = read_wav(shared / "data" / "eng.wav")
    speech = recording.samples[:, 0].astype(np.float32)[2 * RATE : 22 * RATE // 5] / 32768
    whole = whisper_states(speech, encoder)
    stream, parts = WhisperStateStream(encoder), []
    for start in range(0, len(speech), 3200):
        end = start + 3200
        parts.append(stream.encode(speech[start:end], last=end >= len(speech)))
    assert len(parts[-1]) < 40 < len(whole)
    off = np.concatenate(parts) - whole
    share = np.sqrt((off**2).mean((0, 2)) / (whole**2).mean((0, 2)))
    worst = np.sqrt((off**2).mean((1, 2)) / (whole**2).mean((1, 2))).max()
    print("RMS of the deviation by layer, worst state:", share, worst)
    assert (share < 0.08).all(), share
    assert worst < 0.12


def test_streaming_features_stay_within_the_stated_bound(
    shared: Path, golden: dict[str, np.ndarray]
) -> None:
    """Half of 2 s known: what the docstring says of 4 s holds, and all known is the whole."""
    encoder = Whisper(shared)
    speech = golden["wav"]
    whole = whisper_states(speech, encoder)
    np.testing.assert_allclose(whole, golden["hidden_hf"][0][:100], atol=1e-4)
    stream = WhisperStateStream(encoder, look_ahead=0.4)
    early = stream.encode(speech[:RATE])
    assert len(early) == 30
    off = early - whole[:30]
    assert np.abs(off[:, 0]).max() < 0.01
    share = np.sqrt((off**2).mean((0, 2)) / (whole[:30] ** 2).mean((0, 2)))
    assert (share[1:] < 0.12).all(), share
    # The rest are states of the whole, exactly: they were made when all was known.
    np.testing.assert_array_equal(stream.encode(speech[RATE:], last=True), whole[30:])
    np.testing.assert_array_equal(stream.encode(speech, last=True), whole)
