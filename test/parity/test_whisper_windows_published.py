"""Windows of speech features equal the published ones; streamed features keep the stated bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from generated_weights import weights
from goldens import KEPT_STATES, Golden, golden
from speech_clip import RECORDED
from whisper_windows import spoken

from face_perception.speech import (
    WhisperStateStream,
    image_count,
    image_windows,
    read_wav,
    whisper_states,
    window_starts,
)

RATE = 16000


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("musetalk")


@pytest.mark.parametrize("fps", [25, 30])
def test_windows_as_published(published: Golden, fps: int) -> None:
    count = image_count(int(published["wav_len"]), fps)
    # 2 s: states after the end of the speech are not used.
    steps = widened(published["hidden_hf"][0][:100])
    np.testing.assert_array_equal(window_starts(count, fps), published[f"chunk_start_fps{fps}"])
    found = image_windows(steps, count, fps)
    np.testing.assert_array_equal(found[KEPT_STATES], published[f"chunks_fps{fps}"])
    np.testing.assert_array_equal(image_windows(steps, 7, fps, first=20), found[20:27])


def test_original_windows_as_published(published: Golden) -> None:
    wanted = published["v10_chunks_fps25"]
    stream = spoken(widened(published["v10_features"]))
    found = np.stack([stream.image_window(k, 25) for k in range(len(wanted))])
    np.testing.assert_array_equal(found[KEPT_STATES], wanted)


def widened(states: np.ndarray) -> np.ndarray:
    """Returns states of full width, with zeros where the golden has no values."""
    wide = np.zeros((*states.shape[:-1], 384), np.float32)
    wide[KEPT_STATES] = states
    return wide


class Whisper:
    """The real encoder with the weights of the golden."""

    def __init__(self) -> None:
        torch = pytest.importorskip("torch")
        from face_perception.learning.musetalk.whisper_encoder import WhisperEncoder

        self._torch = torch
        self._network = WhisperEncoder().eval()
        state = weights("musetalk_whisper_encoder")
        self._network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        with self._torch.inference_mode():
            return {"states": self._network(self._torch.from_numpy(inputs["mel"])).numpy()}


@pytest.fixture(scope="module")
def encoder() -> Whisper:
    return Whisper()


def test_streamed_states_of_speech_that_begins_quietly(encoder: Whisper) -> None:
    """Speech in pieces of 0.3 s, quiet at first.

    Whisper gets silence after the speech at the level of the whole utterance, although its loudest
    part comes later.
    """
    recording = read_wav(RECORDED)
    speech = recording.samples[:, 0].astype(np.float32)[56 * RATE // 10 : 8 * RATE] / 32768
    whole = whisper_states(speech, encoder)
    stream, parts = WhisperStateStream(encoder), []
    for start in range(0, len(speech), 4800):
        end = start + 4800
        parts.append(stream.encode(speech[start:end], last=end >= len(speech)))
    assert len(parts[-1]) < 40 < len(whole)
    off = np.concatenate(parts) - whole
    share = np.sqrt((off**2).mean((0, 2)) / (whole**2).mean((0, 2)))
    worst = np.sqrt((off**2).mean((1, 2)) / (whole**2).mean((1, 2))).max()
    print("RMS of the deviation by layer, worst state:", share, worst)
    assert (share < 0.08).all(), share
    assert worst < 0.12


def test_streamed_states_stay_within_the_stated_bound(published: Golden, encoder: Whisper) -> None:
    """After 1 s of 2 s the deviation is the documented one for 4 s. At the end it is zero."""
    speech = published["wav"]
    whole = whisper_states(speech, encoder)
    wanted = published["hidden_hf"][0][:100]
    np.testing.assert_allclose(whole[KEPT_STATES], wanted, atol=1e-4)
    stream = WhisperStateStream(encoder, look_ahead=0.4)
    early = stream.encode(speech[:RATE])
    assert len(early) == 30
    off = early - whole[:30]
    assert np.abs(off[:, 0]).max() < 0.01
    share = np.sqrt((off**2).mean((0, 2)) / (whole[:30] ** 2).mean((0, 2)))
    assert (share[1:] < 0.12).all(), share
    # The remaining states are exact: they were computed from the whole speech.
    np.testing.assert_array_equal(stream.encode(speech[RATE:], last=True), whole[30:])
    np.testing.assert_array_equal(stream.encode(speech, last=True), whole)
