"""Tests that lips and jaw move no faster than those of people, and close in time all the same."""

from __future__ import annotations

import numpy as np
import pytest
from speech_clip import OWN, RECORDED, read

from face_perception.speech import (
    MOUTH_RATE,
    BandMouth,
    Mouth,
    NeuralMouth,
    Phone,
    PhonemeMouth,
    lip_distance,
    with_effort_of,
)
from face_perception.speech.lip_speed_limit import LipSpeedLimit, limited_motion

# The lips of people in the sample clips of GRID move by up to 0.34 in 30 ms; 1 is 2 cm.
MOST_IN_30_MS = 0.34
PERIOD = 0.01


def largest_step(weights: np.ndarray) -> float:
    """Returns the largest change of the distance of the lips in 30 ms, of weights each 10 ms."""
    apart = lip_distance(weights)
    return float(np.abs(apart[3:] - apart[:-3]).max())


@pytest.mark.parametrize("path", [OWN, RECORDED], ids=["generated", "recorded"])
@pytest.mark.parametrize("make", [BandMouth, NeuralMouth])
def test_the_mouth_that_hears_does_not_jump(make: type[Mouth], path: str) -> None:
    mouth, samples = make(), read(path)[: 6 * MOUTH_RATE]
    mouth.push_samples(samples)
    count = len(samples) * 100 // MOUTH_RATE - 10
    shapes = np.array([mouth.shape_at(i * PERIOD).values() for i in range(count)])
    assert lip_distance(shapes).max() > 0.5
    assert largest_step(shapes) < MOST_IN_30_MS


def test_lips_close_further_where_more_of_the_sound_is_known() -> None:
    """As with a `delay` of 0.17 s. The shapes are the same however the samples are split."""
    samples, least = read(OWN)[: 4 * MOUTH_RATE], []
    for extra in (0.0, 0.07):
        mouth = NeuralMouth(extra_look_ahead=extra)
        for first in range(0, len(samples), 700):
            mouth.push_samples(samples[first : first + 700])
        count = int((len(samples) / MOUTH_RATE - mouth.look_ahead) / PERIOD)
        shapes = np.array([mouth.shape_at(i * PERIOD).values() for i in range(count)])
        assert largest_step(shapes) < MOST_IN_30_MS
        least.append((lip_distance(shapes) <= 0.05).sum())
    assert mouth.look_ahead == pytest.approx(NeuralMouth().look_ahead + 0.07)
    assert least[1] > least[0]


def test_the_mouth_that_knows_the_phonemes_closes_in_time_and_does_not_jump() -> None:
    """A voice that says "mapabama", each vowel 90 ms and each closure 60 ms, as fast speech."""
    names, lengths = "mɑpɑbɑmɑ", (0.06, 0.09) * 4
    ends = np.cumsum(lengths)
    phones = [
        Phone(name, 10 + end - length, 10 + end)
        for name, length, end in zip(names, lengths, ends, strict=True)
    ]
    mouth = PhonemeMouth()
    mouth.add(phones)
    times = np.arange(0, ends[-1], PERIOD)
    shapes = [mouth.shape_at(10 + float(t)) for t in times]
    apart = np.array([float(lip_distance(s.values())) for s in shapes if s is not None])
    assert len(apart) == len(times)
    for phone in phones:
        during = apart[(times + 10 >= phone.start - 1e-9) & (times + 10 <= phone.end)]
        if phone.name == "ɑ":
            assert during.max() > 0.18, phone
        else:
            assert during.min() < 0.05, phone
    loud = [with_effort_of(s, s).values() for s in shapes if s is not None]
    assert largest_step(np.array(loud)) < MOST_IN_30_MS


def test_speed_builds_up() -> None:
    """The lips do not start, stop or overshoot with a jerk."""
    motion, opened = LipSpeedLimit(PERIOD), np.array([0.7, 0, 0, 0, 0, 0])
    jaw = np.array([motion.follow(opened)[0] for _ in range(30)])
    assert jaw[0] < 0.06 < jaw[3]
    assert jaw.max() == pytest.approx(0.7)
    assert (np.diff(jaw) >= 0).all()
    assert np.abs(np.diff(jaw, 2)).max() < 0.07


def test_no_shapes_give_no_shapes() -> None:
    assert limited_motion(np.zeros((0, 6)), PERIOD).shape == (0, 6)


def test_slow_motion_is_kept() -> None:
    wanted = np.zeros((200, 6))
    wanted[:, 0] = 0.3 - 0.3 * np.cos(np.linspace(0, 2 * np.pi, 200))
    made = limited_motion(wanted, PERIOD)
    assert np.abs(made - wanted).max() < 0.02
