"""Tests BandMouth: follows speech, rests in silence and noise, streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from speech_clip import OWN, RECORDED, STEP, envelope, noise, opening, pauses, read

from face_perception.learning.synthesis.steady_sounds import at_level, steady_sounds
from face_perception.speech import MOUTH_RATE, REST, BandMouth, Mouth, MouthShape


def shapes(samples: np.ndarray, chunk: int = 320) -> np.ndarray:
    """Returns the weights every 10 ms, [N, 6]."""
    mouth = BandMouth()
    for begin in range(0, len(samples), chunk):
        mouth.push_samples(samples[begin : begin + chunk])
    mouth.push_samples(
        np.zeros(round(mouth.look_ahead * MOUTH_RATE) + MOUTH_RATE // 50, np.float32)
    )
    times = np.arange(len(samples) // 160) * STEP
    return np.array([mouth.shape_at(float(t)).values() for t in times])


def check_speech(samples: np.ndarray, at_least: float) -> None:
    lips, level = opening(shapes(samples)), envelope(samples)
    voiced = level > level.max() * 10 ** (-35 / 20)
    assert np.corrcoef(lips[voiced], level[voiced])[0, 1] >= at_least
    found = pauses(level)
    assert found
    still = np.concatenate([lips[run] for run in found])
    assert (still < 0.03).mean() >= 0.95
    assert lips.max() > 0.4


def test_follows_generated_speech() -> None:
    check_speech(read(OWN), 0.8)


@pytest.mark.parametrize("gain", [0.05, 1.0, 4.0], ids=["quiet", "as it is", "clipped"])
def test_follows_recorded_speech(gain: float) -> None:
    samples = np.clip(read(RECORDED) * gain, -1, 1)
    lips, level = opening(shapes(samples)), envelope(samples)
    voiced = level > level.max() * 10 ** (-35 / 20)
    assert np.corrcoef(lips[voiced], level[voiced])[0, 1] >= 0.8
    still = [lips[run] for run in pauses(level)]
    assert still
    assert (np.concatenate(still) < 0.03).mean() >= 0.95


def test_look_ahead_is_exact() -> None:
    """Samples after the look-ahead do not change a shape; earlier samples do."""
    mouth: Mouth = BandMouth()
    assert mouth.look_ahead <= 0.080
    samples = read(OWN)
    known = round(0.6 * MOUTH_RATE)
    one, other = BandMouth(), BandMouth()
    one.push_samples(samples[:known])
    other.push_samples(samples[:known])
    other.push_samples(noise(0.5, 0.3, 0))
    for t in np.arange(0, 0.6 - mouth.look_ahead, STEP):
        assert one.shape_at(float(t)) == other.shape_at(float(t))


@pytest.mark.parametrize("chunk", [1, 7, 160, 333, 4096, 10**6])
def test_chunks_of_any_size_give_the_same(chunk: int) -> None:
    samples = read(OWN)[: 2 * MOUTH_RATE] if chunk > 1 else read(OWN)[: MOUTH_RATE // 2]
    np.testing.assert_array_equal(shapes(samples, chunk), shapes(samples, 320))


def test_reset_forgets_the_stream_and_the_speaker() -> None:
    samples = read(OWN)[:MOUTH_RATE]
    mouth, fresh = BandMouth(), BandMouth()
    mouth.push_samples(noise(3, 0.3, 2))
    mouth.reset()
    mouth.push_samples(samples)
    fresh.push_samples(samples)
    assert mouth.shape_at(0.5) == fresh.shape_at(0.5)
    assert mouth.shape_at(0.5).jaw > 0


def test_opens_without_delay() -> None:
    """The first syllable moves the mouth early enough for 150 ms from chunk to screen."""
    samples = read(OWN)
    begin = int(np.flatnonzero(np.abs(samples) > 0.03)[0])
    lips = opening(shapes(samples[begin:]))
    assert lips[: round(0.08 / STEP)].max() > 0.02


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5 * MOUTH_RATE, np.float32),
        np.full(5 * MOUTH_RATE, 0.2, np.float32),
        noise(5, 0.1, 0),
        noise(5, 0.1, 1),
        noise(5, 0.1, 2),
        noise(5, 0.0005, 0),
    ],
    ids=["silence", "offset", "white", "pink", "brown", "hiss of a converter"],
)
def test_rests_without_speech(samples: np.ndarray) -> None:
    assert not shapes(samples).any()


@pytest.mark.parametrize("level", [-12, -40])
@pytest.mark.parametrize("name", steady_sounds())
def test_rests_while_something_hums_or_beeps(name: str, level: float) -> None:
    assert shapes(at_level(steady_sounds()[name], level))[:, 0].max() < 0.03


@pytest.mark.parametrize("level", [-20, -41, -51, -61])
@pytest.mark.parametrize("path", [OWN, RECORDED], ids=["generated", "recorded"])
def test_opens_for_quiet_speech_as_for_loud_speech(path: Path, level: float) -> None:
    """Level in dB of full scale, RMS, with the rounding of 16 bits."""
    samples = read(path)[: 4 * MOUTH_RATE]
    loud = opening(shapes(at_level(samples, -20)))
    quiet = opening(shapes(np.round(at_level(samples, level) * 32768) / np.float32(32768)))
    assert np.percentile(quiet, 95) > 0.8 * np.percentile(loud, 95)
    assert np.corrcoef(quiet, loud)[0, 1] > 0.85


def test_a_buzz_after_speech_closes_the_mouth() -> None:
    samples = read(OWN)[: 2 * MOUTH_RATE]
    buzz = at_level(steady_sounds()["buzz 150 Hz"], -25)
    lips = shapes(np.concatenate([samples, buzz]))[200:, 0]
    assert lips[60:].max() < 0.03


def test_follows_speech_in_noise() -> None:
    samples = read(OWN)
    level = envelope(samples)
    lips = opening(shapes(samples + noise(len(samples) / MOUTH_RATE, 0.004, 1)))
    assert np.corrcoef(lips, level)[0, 1] > 0.75


def test_gain_follows_a_speaker_who_becomes_quieter() -> None:
    once = read(OWN)[: 6 * MOUTH_RATE]
    lips = opening(shapes(np.concatenate([once, 0.08 * once, 0.08 * once])))
    loud, _, quiet = lips.reshape(3, -1)
    assert np.percentile(quiet, 95) > 0.6 * np.percentile(loud, 95)


def test_vowels_have_different_shapes() -> None:
    """Formants at 300 and 2400 Hz give a wide mouth, at 300 and 800 Hz a round one."""

    def vowel(first: float, second: float) -> np.ndarray:
        f = np.arange(1, 40) * 120.0
        peaks = (1 / (1 + ((f - c) / w) ** 2) for c, w in ((first, 70.0), (second, 120.0)))
        amplitudes = sum(peaks) + 0.003
        t = np.arange(MOUTH_RATE // 2) / MOUTH_RATE
        tone = (amplitudes[:, None] * np.sin(2 * np.pi * f[:, None] * t)).sum(0)
        syllable = 0.2 * tone / np.abs(tone).max() * np.hanning(len(tone))
        return syllable.astype(np.float32)

    i, u, a = (shapes(vowel(*f))[15:35].mean(0) for f in ((300, 2400), (300, 800), (800, 1250)))
    fields = ("jaw", "wide", "round")
    shape_i, shape_u, shape_a = (dict(zip(fields, w, strict=False)) for w in (i, u, a))
    assert shape_i["wide"] > 0.3 > shape_u["wide"]
    assert shape_u["round"] > 0.3 > shape_i["round"]
    assert shape_a["jaw"] > 1.2 * max(shape_i["jaw"], shape_u["jaw"])


def test_the_mouth_closes_if_the_stream_stops_within_a_word() -> None:
    samples = read(OWN)
    loud = int(np.argmax(envelope(samples))) * 160
    mouth = BandMouth()
    mouth.push_samples(samples[: loud + round(mouth.look_ahead * MOUTH_RATE)])
    end = loud / MOUTH_RATE
    assert mouth.shape_at(end).jaw > 0.1
    after = [mouth.shape_at(end + t).jaw for t in (0.0, 0.05, 0.1, 0.2)]
    assert after == sorted(after, reverse=True)
    assert mouth.shape_at(end + 0.2) == REST


def test_unknown_times_give_rest() -> None:
    mouth = BandMouth()
    assert mouth.shape_at(0.0) == REST
    mouth.push_samples(read(OWN))
    assert mouth.shape_at(-1.0) == mouth.shape_at(float("nan")) == REST


def test_samples_that_are_not_finite_count_as_silence() -> None:
    samples = read(OWN)[:MOUTH_RATE].copy()
    samples[::50] = np.nan
    samples[7::50] = np.inf
    assert np.isfinite(shapes(samples)).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(10, np.int16), np.zeros((10, 2), np.float32), np.zeros(10, np.float64)],
    ids=["int16", "stereo", "double"],
)
def test_wrong_samples_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"float32 \[N\], mono"):
        BandMouth().push_samples(wrong)


def test_weights_are_in_range() -> None:
    weights = shapes(np.clip(read(OWN) * 50, -1, 1).astype(np.float32))
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert len(MouthShape.__dataclass_fields__) == weights.shape[1]
