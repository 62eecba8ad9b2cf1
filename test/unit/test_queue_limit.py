"""Tests how much speech may wait to be played."""

from __future__ import annotations

import numpy as np
import pytest

from face_perception.avatar.playback.queue_limit import QueueLimit
from face_perception.speech import AudioChunk

RATE = 16_000


def chunk(seconds: float, stamp: float = 3.0) -> AudioChunk:
    return AudioChunk(stamp, RATE, np.arange(round(seconds * RATE), dtype=np.float32))


def test_speech_that_fits_is_the_same_chunk() -> None:
    limit = QueueLimit(10.0)
    one = chunk(4.0)
    assert limit.fit(one, waiting=6.0) is one
    assert (limit.full, limit.dropped) == (False, 0.0)


def test_the_end_of_a_long_chunk_is_dropped() -> None:
    limit = QueueLimit(10.0)
    kept = limit.fit(chunk(4.0), waiting=9.0)
    assert kept is not None
    assert kept.stamp == 3.0
    assert np.array_equal(kept.samples, np.arange(RATE))
    assert kept.samples.base is None, "the whole chunk would stay in memory"
    assert limit.dropped == pytest.approx(3.0)


def test_after_a_drop_speech_is_taken_again_when_half_has_been_played() -> None:
    limit = QueueLimit(10.0)
    assert limit.fit(chunk(1.0), waiting=10.0) is None
    assert limit.fit(chunk(1.0), waiting=6.0) is None, "it would leave a hole"
    assert limit.full
    assert limit.fit(chunk(1.0), waiting=5.0) is not None
    assert not limit.full
    assert limit.dropped == pytest.approx(2.0)


def test_the_end_of_an_utterance_is_never_dropped() -> None:
    limit = QueueLimit(1.0)
    limit.fit(chunk(5.0), waiting=0.0)
    end = AudioChunk(0.0, RATE, np.zeros(0, np.float32))
    assert limit.fit(end, waiting=1.0) is end
