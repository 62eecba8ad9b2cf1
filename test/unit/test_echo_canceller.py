"""Tests that the robot's own voice is removed, and that nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from face_perception.errors import InputError
from face_perception.speech import ECHO_RATE, AudioChunk, AudioSamples, EchoCanceller
from face_perception.speech.echo.played_sound import PlayedSound
from face_perception.speech.echo.stamp_clock import StampClock
from face_perception.speech.echo.voice_over_echo import VoiceOverEcho

SECONDS = 8.0
STEP = 160  # samples in a chunk


def voice_like(seed: int, seconds: float = SECONDS) -> npt.NDArray[np.float64]:
    """Returns noise of changing colour in syllables of 0.2 s, RMS about 0.05."""
    random = np.random.default_rng(seed)
    pieces = []
    for _ in range(round(seconds / 0.2)):
        colour = random.standard_normal(12) * np.exp(-np.arange(12) / 4)
        noise = np.convolve(random.standard_normal(3200), colour, "same")
        pieces.append(noise / noise.std() * np.hanning(3200) * random.uniform(0.03, 0.12))
    return np.concatenate(pieces)


def echo_of(played: npt.NDArray[np.float64], delay: float, clock: float = 1.0) -> AudioSamples:
    """Returns what a microphone hears of it, after ``delay`` seconds, with reflections."""
    random = np.random.default_rng(7)
    response = 0.5 * random.standard_normal(1600) * np.exp(-np.arange(1600) / 250)
    response[0] = 1.0
    heard = np.convolve(played, response)[: len(played)]
    times = np.arange(len(heard)) / clock - delay * ECHO_RATE
    heard = np.interp(times, np.arange(len(heard)), heard, left=0.0)
    return (0.5 * heard + 1e-4 * random.standard_normal(len(heard))).astype(np.float32)


def cleaned(
    canceller: EchoCanceller,
    played: npt.NDArray[np.float64],
    heard: AudioSamples,
    at: float = 100.0,
    clock: float = 1.0,
) -> Iterator[AudioSamples]:
    """Yields what is left of each chunk of the microphone. Both streams begin at ``at``."""
    random = np.random.default_rng(3)
    for first in range(0, len(heard), STEP):
        own = played[first : first + STEP].astype(np.float32)
        canceller.play(AudioChunk(at + first / ECHO_RATE, ECHO_RATE, own))
        stamp = at + first / ECHO_RATE / clock + random.normal(0, 1e-3)
        yield canceller.push(heard[first : first + STEP], stamp)


def power(samples: npt.NDArray[np.floating], begin: float, end: float) -> float:
    return float(np.mean(samples[round(begin * ECHO_RATE) : round(end * ECHO_RATE)] ** 2))


@pytest.mark.parametrize(("delay", "clock"), [(0.0, 1.0), (0.3, 1.0), (0.1, 1 + 1e-4)])
def test_the_echo_is_removed_and_the_room_is_learnt(delay: float, clock: float) -> None:
    seconds = 8.0 if clock == 1 else 16.0  # the rate of the clocks is learnt before the room
    canceller, played = EchoCanceller(), voice_like(1, seconds)
    heard = echo_of(played, delay, clock)
    chunks = list(cleaned(canceller, played, heard, clock=clock))
    clean = np.concatenate(chunks)
    assert len(clean) + canceller.waiting == len(heard)
    assert canceller.learnt
    assert canceller.attenuation > 3
    left = power(clean, seconds - 3, seconds - 0.2) / power(heard, seconds - 3, seconds - 0.2)
    assert left < (0.02 if clock == 1 else 0.1)


@pytest.mark.parametrize("ppm", [-100, 0, 100])
def test_the_clock_of_stamps_is_followed_for_five_minutes(ppm: float) -> None:
    """Errors of 0.1 ms matter to the filter, and those of stamps are 1 ms."""
    random, clock = np.random.default_rng(5), StampClock(jitter=1e-3)
    clock.begin(100.0)
    off = []
    for k in range(1, 15_000):
        true = 100 + 0.02 * k * (1 + ppm * 1e-6)
        clock.follow(0.02, true + random.normal(0, 1e-3))
        off.append(abs(clock.time - true))
    assert max(off[1000:]) < 3e-4
    assert clock.rate - 1 == pytest.approx(ppm * 1e-6, abs=3e-6)
    clock.begin(900.0)  # after a hole
    for k in range(1, 500):
        clock.follow(0.02, 900 + 0.02 * k * (1 + ppm * 1e-6))
    assert clock.rate - 1 == pytest.approx(ppm * 1e-6, abs=3e-6), "the rate is still known"


@pytest.mark.parametrize(("jitter", "hole"), [(1e-3, 0.02), (1e-3, 0.2), (1e-3, -0.05), (1e-2, 0)])
def test_a_hole_moves_the_time_of_stamps_at_once_and_not_the_rate(
    jitter: float, hole: float
) -> None:
    """Stamps that come late do neither; stamps that are off by 10 ms each are averaged."""
    random, clock = np.random.default_rng(5), StampClock(jitter=1e-3)
    clock.begin(100.0)
    off, begun = [], []
    for k in range(1, 6000):
        true = 100 + 0.02 * k + (hole if k >= 3000 else 0)
        late = 0.08 if k % 25 == 0 and jitter < 1e-2 else 0.0
        if clock.follow(0.02, true + random.normal(0, jitter) + late):
            begun.append(k)
        off.append(abs(clock.time - true))
    assert max(off[1500:2998]) < 0.5 * jitter
    assert max(off[3020:]) < jitter
    assert clock.rate == pytest.approx(1, abs=20e-6)
    assert len(begun) == (1 if hole else 0)


@pytest.mark.parametrize("seconds", [0.02, 0.1])
def test_lost_sound_that_was_filled_with_silence_teaches_nothing(seconds: float) -> None:
    canceller, played = EchoCanceller(), voice_like(1)
    heard = echo_of(played, 0.1)
    begin = 6 * ECHO_RATE
    heard[begin : begin + round(seconds * ECHO_RATE)] = 0.0
    clean = np.concatenate(list(cleaned(canceller, played, heard)))
    assert power(clean, 6, 6.3) < 0.02 * power(heard, 6, 6.3)


def test_what_was_heard_belongs_to_what_comes_out() -> None:
    canceller, played = EchoCanceller(), voice_like(1, 3.0)
    played[ECHO_RATE:] = 0.0
    heard = echo_of(played, 0.1)
    belongs, clean = [], []
    for one in cleaned(canceller, played, heard):
        clean.append(one)
        belongs.append(canceller.heard)
        assert len(one) == len(canceller.heard)
    together = np.concatenate(belongs)
    np.testing.assert_array_equal(together, heard[: len(together)])
    later = slice(2 * ECHO_RATE, None)  # nothing is played: the sound passes unchanged
    np.testing.assert_array_equal(np.concatenate(clean)[later], together[later])


def test_an_unsure_network_is_believed_where_the_canceller_lets_the_sound_pass() -> None:
    tone = np.tile(np.float32([1, 1, -1, -1]), 128)  # 4 kHz

    def hear(voice: float, left: float, loud: float = 0.1) -> float:
        over, sound, quiet = VoiceOverEcho(), loud * tone, 1e-3 * tone
        assert [over.probability(0.01, quiet, quiet) for _ in range(4)] == [0.01] * 4
        return [over.probability(voice, sound, left * sound) for _ in range(4)][-1]

    assert hear(0.3, 0.9) > 0.5, "a person"
    assert hear(0.3, 0.03) < 0.05, "the rest of the echo"
    assert hear(0.01, 0.9) < 0.5, "another noise"
    assert hear(0.3, 0.9, loud=1e-3) < 0.5, "the noise of the room, in a pause of the robot"
    nothing = np.zeros(512, np.float32)
    assert VoiceOverEcho().probability(0.7, nothing, nothing) == 0.7
    rumble = np.full(512, 0.1, np.float32)
    found = [VoiceOverEcho().probability(0.3, rumble, 0.9 * rumble) for _ in range(4)][-1]
    assert found < 0.5, "no voice is so low"
    over, sound = VoiceOverEcho(), 0.1 * tone
    assert over.probability(0.3, nothing, 1e-3 * sound) < 0.5, "lost at the beginning"
    found = [over.probability(0.2, sound, 0.03 * sound) for _ in range(20)][-1]
    over.probability(0.01, nothing, nothing)  # lost: that is not how quiet the room is
    after = [over.probability(0.2, sound, 0.03 * sound) for _ in range(6)][-1]
    assert after == pytest.approx(found)


@pytest.mark.parametrize(("loud", "gain"), [(0.01, 20), (1e-4, 30), (0.5, 1)])
def test_soft_sound_is_amplified_for_the_network(loud: float, gain: float) -> None:
    tone = np.tile(np.float32([1, 1, -1, -1]), 128)
    over = VoiceOverEcho()
    for _ in range(4):
        over.probability(0.01, loud * tone, 0.5 * loud * tone)
    heard = over.amplified(loud * tone, 0.5 * loud * tone)
    np.testing.assert_allclose(heard, np.clip(0.5 * loud * gain, 0, 1) * tone, rtol=0.01)
    unchanged = loud * tone
    assert over.amplified(unchanged, unchanged) is unchanged, "nothing was played"


def test_a_person_who_talks_over_the_robot_remains() -> None:
    canceller, played = EchoCanceller(), voice_like(1)
    heard = echo_of(played, 0.1)
    person = np.zeros(len(heard), np.float32)
    person[round(6 * ECHO_RATE) :] = voice_like(2)[: len(heard) - round(6 * ECHO_RATE)]
    person *= np.sqrt(power(heard, 1, 7) / power(person, 6, 8))  # as loud as the echo
    clean = np.concatenate(list(cleaned(canceller, played, heard + person)))
    begin, end = round(6 * ECHO_RATE), round(6.5 * ECHO_RATE)
    together = np.corrcoef(clean[begin:end], person[begin:end])[0, 1]
    assert together > 0.7
    assert canceller.learnt


def test_sound_passes_unchanged_while_nothing_is_played() -> None:
    canceller = EchoCanceller()
    heard = voice_like(2, 1.0).astype(np.float32)
    out = [canceller.push(heard[k : k + STEP], 5 + k / ECHO_RATE) for k in range(0, 16_000, STEP)]
    clean = np.concatenate(out)
    np.testing.assert_array_equal(clean, heard[: len(clean)])
    assert 0 < canceller.waiting <= 1024
    assert not canceller.learnt


def test_no_sample_is_lost_when_the_robot_ends() -> None:
    canceller, played = EchoCanceller(), voice_like(1, 4.0)
    played[2 * ECHO_RATE :] = 0.0
    heard = echo_of(played, 0.1)
    person = voice_like(2, 4.0).astype(np.float32)
    person[: 3 * ECHO_RATE] = 0.0
    clean = np.concatenate(list(cleaned(canceller, played, heard + person)))
    assert len(clean) + canceller.waiting == len(heard)
    np.testing.assert_array_equal(
        clean[3 * ECHO_RATE :], (heard + person)[3 * ECHO_RATE : len(clean)]
    )


def test_the_room_is_known_after_a_hole_in_the_sound() -> None:
    canceller, played = EchoCanceller(), voice_like(1)
    heard = echo_of(played, 0.1)
    list(cleaned(canceller, played, heard))
    assert canceller.learnt
    canceller.forget_sound()
    assert not canceller.learnt, "the first stamps may be off, so that the echo remains"
    clean = np.concatenate(list(cleaned(canceller, played, heard, at=500.0)))
    assert power(clean, 1, 3) < 0.02 * power(heard, 1, 3), "the first stamps are averaged"
    assert canceller.learnt


def test_samples_that_are_not_finite_do_not_stay() -> None:
    """A single NaN would make the filter, and all that follows, NaN."""
    canceller, played = EchoCanceller(), voice_like(1, 4.0)
    heard = echo_of(played, 0.1)
    heard[8000:8100], played[9000:9100] = np.nan, np.inf
    clean = np.concatenate(list(cleaned(canceller, played, heard)))
    assert np.isfinite(clean).all()
    with pytest.raises(InputError, match="float32"):
        canceller.push(np.zeros(160, np.int16), 200.0)
    with pytest.raises(InputError, match="float32"):
        canceller.play(AudioChunk(200.0, ECHO_RATE, np.zeros((80, 2), np.float32)))


@pytest.mark.parametrize("size", [1, 97, 5000])
def test_chunks_of_any_size_give_the_same_number_of_samples(size: int) -> None:
    canceller, played = EchoCanceller(), voice_like(1, 1.0).astype(np.float32)
    heard = echo_of(played.astype(np.float64), 0.05)
    canceller.play(AudioChunk(100.0, ECHO_RATE, played))
    out = [
        canceller.push(heard[k : k + size], 100.0 + k / ECHO_RATE)
        for k in range(0, len(heard), size)
    ]
    assert sum(map(len, out)) + canceller.waiting == len(heard)


def test_the_room_is_not_learnt_from_a_person_alone() -> None:
    canceller, played = EchoCanceller(), voice_like(1)
    list(cleaned(canceller, played, voice_like(2).astype(np.float32)))
    assert not canceller.learnt


def test_played_sound_is_found_by_time() -> None:
    played = PlayedSound(16_000)
    assert np.isnan(played.number_at(5.0))

    def at(time: float, count: int) -> list[float]:
        return played.read(round(played.number_at(time)), count).tolist()

    def chunk(stamp: float, value: float, rate: int = 16_000) -> AudioChunk:
        return AudioChunk(stamp, rate, np.full(rate // 100, value, np.float32))

    played.push(chunk(10.0, 0.5))
    played.push(AudioChunk(10.0, 16_000, np.zeros(0, np.float32)))  # the end of an utterance
    played.push(chunk(10.0105, 0.25))  # its stamp is off by half a millisecond
    assert at(10.00025, 320) == [0.5] * 160 + [0.25] * 160, "both stamps count alike"
    played.push(chunk(10.5, 1.0))  # after a pause
    assert at(10.499, 32) == [0.0] * 16 + [1.0] * 16
    assert at(11.0, 3) == [0.0] * 3, "nothing was played so late"
    assert at(1.0, 3) == [0.0] * 3, "nor so early"
    played.push(chunk(2.0, 0.75))  # the clock went back
    assert at(1.999, 32) == [0.0] * 16 + [0.75] * 16
    played.push(chunk(float("nan"), 0.1))
    assert np.isnan(played.number_at(2.0))
    played.push(chunk(2.0, 0.75))
    assert at(1.999, 32) == [0.0] * 16 + [0.75] * 16, "such a stamp does not stay"
    played.push(chunk(2.01, 0.5, rate=48_000))
    assert at(2.012, 64) == pytest.approx([0.5] * 64, abs=0.02)
