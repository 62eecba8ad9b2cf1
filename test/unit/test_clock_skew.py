"""Tests when silence is repeated because the sender's clock is slower than the player's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from face_perception.avatar.playback.clock_skew import ClockSkew

RATES = (16_000, 48_000)
DELAY = 0.1
CHUNK = 0.02  # seconds


def chunk(level: float, seconds: float = CHUNK) -> dict[int, npt.NDArray[np.float32]]:
    return {rate: np.full(round(seconds * rate), level, np.float32) for rate in RATES}


def play(skew: float, seconds: float, loud: float = 0.0) -> tuple[float, float]:
    """Plays chunks of a sender whose clock is slower by ``skew``.

    The first ``loud`` seconds of every second are loud. Returns the seconds that were added, and
    the least that was waiting, seconds.
    """
    compensation = ClockSkew(DELAY)
    added, waiting, least = 0.0, DELAY, DELAY
    for number in range(round(seconds / CHUNK)):
        level = 0.3 if number * CHUNK % 1.0 < loud else 0.0
        for_rate = compensation.repeated_silence(chunk(level), waiting)
        more = {len(samples) / rate for rate, samples in for_rate.items()}
        assert len(more) <= 1, "the same duration at every rate"
        added += sum(more)
        # While a chunk is recorded, the player plays a little more than its duration.
        waiting += sum(more) + CHUNK - CHUNK * (1 + skew)
        least = min(least, waiting)
    return added, least


@pytest.mark.parametrize("skew", [0.001, 0.005, 0.02])
def test_the_player_never_runs_dry(skew: float) -> None:
    added, least = play(skew, 600, loud=0.8)
    assert added == pytest.approx(600 * skew, abs=0.03)
    assert least > 0.04


@pytest.mark.parametrize("skew", [0.0, -0.005])
def test_nothing_is_added_without_need(skew: float) -> None:
    assert play(skew, 600)[0] == 0


def test_loud_speech_is_not_stretched() -> None:
    assert play(0.005, 10, loud=1.0)[0] == 0


def test_the_end_of_the_quiet_chunk_is_repeated() -> None:
    compensation = ClockSkew(DELAY)
    quiet = {rate: np.linspace(0, 0.005, rate // 50, dtype=np.float32) for rate in RATES}
    compensation.repeated_silence(quiet, DELAY)
    found = [compensation.repeated_silence(quiet, DELAY / 2) for _ in range(20)]
    (first, *_) = (silence for silence in found if silence)
    for rate in RATES:
        assert np.array_equal(first[rate], quiet[rate][-rate // 100 :])


@pytest.mark.parametrize(
    "kept",
    [chunk(0.007), chunk(-0.007), chunk(0.0, 0.009), {16_000: chunk(0.0)[16_000], 48_000: []}],
    ids=["audible", "audible below zero", "short", "nothing at one rate"],
)
def test_other_chunks_stay_as_they_are(kept: dict[int, npt.NDArray[np.float32]]) -> None:
    compensation = ClockSkew(DELAY)
    compensation.repeated_silence(chunk(0.0), DELAY)
    assert not any(compensation.repeated_silence(kept, DELAY / 2) for _ in range(20))


def test_more_speech_than_the_delay_is_no_reserve_to_keep() -> None:
    """A sender that was a second ahead and falls back to the delay has no slow clock."""
    compensation = ClockSkew(DELAY)
    for waiting in np.linspace(1.0, DELAY, 100):
        assert not compensation.repeated_silence(chunk(0.0), float(waiting))


def test_a_player_that_ran_dry_and_a_reset_begin_again() -> None:
    compensation = ClockSkew(DELAY)
    compensation.repeated_silence(chunk(0.0), DELAY)
    assert not compensation.repeated_silence(chunk(0.0), 0.0)
    compensation.reset()
    assert not any(compensation.repeated_silence(chunk(0.0), DELAY / 2) for _ in range(20))
