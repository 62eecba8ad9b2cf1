"""Tests idle motion: blinks like a person's, looks where told, shows expressions, keeps the
mouth.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from face_perception.avatar import Animator, FaceState, IdleMotionAnimator
from face_perception.speech import REST, MouthShape
from face_perception.types import EXPRESSIONS

FPS = 30


def live(
    animator: Animator, seconds: float, speaking: bool = False, begin: float = 0.0, fps: int = FPS
) -> list[FaceState]:
    """Returns the states over some time. While speaking, the jaw opens three times a second."""
    states = []
    for i in range(round(seconds * fps)):
        t = begin + i / fps
        jaw = 0.35 + 0.35 * math.sin(2 * math.pi * 3 * t) if speaking else 0.0
        states.append(animator.state_at(t, MouthShape(jaw=jaw) if speaking else REST, speaking))
    return states


def blinks(states: list[FaceState]) -> list[int]:
    """Returns the images in which a blink begins."""
    closed = np.array([state.blink for state in states]) > 0
    return [int(i) for i in np.flatnonzero(closed[1:] & ~closed[:-1])]


def one(name: str) -> list[float]:
    return [float(other == name) for other in EXPRESSIONS]


def test_the_same_seed_lives_the_same_life() -> None:
    assert live(IdleMotionAnimator(3), 20) == live(IdleMotionAnimator(3), 20)
    assert live(IdleMotionAnimator(3), 20) != live(IdleMotionAnimator(4), 20)
    with pytest.raises(ValueError, match=r"seed.* -1"):
        IdleMotionAnimator(-1)


def test_the_mouth_is_what_it_was_given() -> None:
    animator = IdleMotionAnimator(0)
    assert all(state.mouth == REST for state in live(animator, 30))
    for expression in ("angry", "sad", "disgusted"):
        animator.set_expression(one(expression))
        assert all(state.mouth == REST for state in live(animator, 2, begin=100))
    shape = MouthShape(0.3, 0.2, 0.1, 0.4, 0.5, 0.6)
    assert animator.state_at(200, shape, speaking=True).mouth == shape


@pytest.mark.parametrize(("speaking", "low", "high"), [(False, 10, 22), (True, 17, 32)])
def test_blinks_as_often_as_people(speaking: bool, low: float, high: float) -> None:
    minutes = 8
    states = live(IdleMotionAnimator(1), 60 * minutes, speaking)
    begins = blinks(states)
    assert low <= len(begins) / minutes <= high
    intervals = np.diff(begins) / FPS
    assert intervals.min() > 0.5
    assert intervals.std() / intervals.mean() > 0.25, "no clockwork"


def test_a_blink_is_quick_shut_and_slower_to_open() -> None:
    states = live(IdleMotionAnimator(1), 30, fps=200)
    begin = blinks(states)[0]
    lids = np.array([state.blink for state in states[begin : begin + 100]])
    shut = int(np.argmax(lids >= 0.999))
    opened = shut + int(np.argmax(lids[shut:] <= 0))
    assert 0.05 < shut / 200 < 0.12
    assert 1.5 * shut < opened - shut
    assert 0.2 < opened / 200 < 0.4
    assert np.abs(np.diff(lids)).max() < 0.15


def test_looks_where_it_is_told_with_a_saccade() -> None:
    animator = IdleMotionAnimator(0)
    live(animator, 3)
    animator.look_at(0.35, -0.1)
    states = live(animator, 2, begin=3)
    yaw = np.array([state.gaze_yaw for state in states])
    assert (np.abs(yaw[4:] - 0.35) < 0.05).all(), "there within 0.13 s"
    head = np.array([state.head_yaw for state in states])
    assert head[4] < 0.5 * head[-1], "the head comes later"
    assert 0.05 < head[-1] < 0.2
    assert blinks(states), "with a blink"


def test_eyes_rest_and_jump() -> None:
    states = live(IdleMotionAnimator(5), 60)
    gaze = np.array([(state.gaze_yaw, state.gaze_pitch) for state in states])
    moved = np.linalg.norm(np.diff(gaze, axis=0), axis=1) > 1e-9
    assert 0.4 < moved.sum() / 60 < 4, "jumps a second"
    assert np.abs(gaze).max() < math.radians(3), "it still looks at the viewer"
    assert gaze.std(axis=0).min() > math.radians(0.2)


def test_the_head_sways_smoothly_and_a_little() -> None:
    states = live(IdleMotionAnimator(2), 60)
    head = np.array([(s.head_yaw, s.head_pitch, s.head_roll) for s in states])
    assert (head.std(axis=0) > 0.002).all()
    assert np.abs(head).max() < 0.05
    assert np.abs(np.diff(head, axis=0)).max() < 0.002


def test_brows_go_with_stress_but_not_in_silence() -> None:
    still = np.array([state.outer_brow for state in live(IdleMotionAnimator(2), 30)])
    assert not still.any()
    lifts = np.array([state.outer_brow for state in live(IdleMotionAnimator(2), 30, speaking=True)])
    assert lifts.max() > 0.15
    assert 0.02 < (lifts > 0.1).mean() < 0.6


def phrases(animator: Animator, seconds: float) -> list[FaceState]:
    """Returns the states of a face that speaks for 1.5 s and pauses for 0.5 s, again and again."""
    states = []
    for i in range(round(seconds * FPS)):
        t = i / FPS
        jaw = 0.35 + 0.35 * math.sin(2 * math.pi * 3 * t) if t % 2 < 1.5 else 0.0
        states.append(animator.state_at(t, MouthShape(jaw=jaw), True))
    return states


def test_nods_and_blinks_at_the_ends_of_phrases() -> None:
    with_it = phrases(IdleMotionAnimator(4), 60)
    without = phrases(IdleMotionAnimator(4, prosody=False), 60)
    assert not any(state.outer_brow for state in without)
    added = np.array([a.head_pitch - b.head_pitch for a, b in zip(with_it, without, strict=True)])
    folded = added.reshape(-1, 2 * FPS).mean(0)  # over one phrase and pause
    assert folded[round(1.75 * FPS) : round(1.95 * FPS)].mean() < -0.015, "nods in the pause"
    assert np.abs(added).max() < 0.07, "but only a little"
    late = [b % (2 * FPS) >= 1.6 * FPS for b in blinks(with_it)]
    assert np.mean(late) > 0.3, "a fifth of the time has at least a third of the blinks"


def test_a_sad_face_accentuates_less_than_a_surprised_one() -> None:
    def accent(name: str) -> float:
        pitch = []
        for prosody in (True, False):
            animator = IdleMotionAnimator(4, prosody=prosody)
            animator.set_expression(one(name))
            pitch.append([state.head_pitch for state in phrases(animator, 20)])
        return float(np.std(np.subtract(*pitch)))

    assert accent("sad") < 0.7 * accent("neutral") < 0.7 * accent("surprised")


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("happy", {"smile": 1}),
        ("sad", {"smile": -1, "inner_brow": 1}),
        ("angry", {"inner_brow": -1, "lids": -1}),
        ("surprised", {"inner_brow": 1, "outer_brow": 1, "lids": 1}),
        ("scared", {"inner_brow": 1, "lids": 1}),
        ("disgusted", {"smile": -1, "inner_brow": -1}),
    ],
)
def test_shows_what_it_feels(name: str, signs: dict[str, int]) -> None:
    animator = IdleMotionAnimator(0)
    live(animator, 1)
    animator.set_expression(one(name))
    states = live(animator, 3, begin=1)
    for channel, sign in signs.items():
        values = np.array([getattr(state, channel) for state in states])
        assert sign * values[-1] > 0.3, channel
        assert np.abs(np.diff(values)).max() < 0.12, "eased in"
    animator.set_expression(None)
    after = live(animator, 3, begin=4)[-1]
    assert all(abs(getattr(after, channel)) < 0.02 for channel in signs)


def test_a_smile_shows_the_teeth_in_silence_only() -> None:
    animator = IdleMotionAnimator(0)
    animator.set_expression(one("happy"))
    assert live(animator, 3)[-1].mouth.teeth > 0.4
    shape = MouthShape(jaw=0.3)
    assert animator.state_at(4, shape, speaking=True).mouth == shape


def test_surprise_drops_the_jaw_in_silence_only() -> None:
    animator = IdleMotionAnimator(0)
    animator.set_expression(one("surprised"))
    live(animator, 3)
    assert animator.state_at(3.0, REST, speaking=False).mouth.jaw > 0.15
    assert animator.state_at(3.03, REST, speaking=True).mouth == REST


def test_shows_valence_and_arousal() -> None:
    def shown(valence: float, arousal: float) -> FaceState:
        animator = IdleMotionAnimator(0)
        animator.set_valence_arousal(valence, arousal)
        return live(animator, 4)[-1]

    assert shown(0.8, 0.3).smile > 0.5
    assert shown(-0.8, -0.3).smile < -0.4
    assert shown(-0.7, 0.8).inner_brow < -0.2 < 0.1 < shown(-0.7, -0.8).inner_brow
    assert shown(0, 0.9).lids > 0.3 > 0 > shown(0, -0.9).lids


@pytest.mark.parametrize("wrong", [[1.0] * 6, [2.0] + [0.0] * 6, [math.nan] * 7, "happy"])
def test_wrong_expressions_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"expression|convert"):
        IdleMotionAnimator().set_expression(wrong)  # type: ignore[arg-type]


def test_wrong_directions_and_affects_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gaze direction.* nan"):
        IdleMotionAnimator().look_at(math.nan, 0)
    with pytest.raises(ValueError, match="valence and arousal must be in"):
        IdleMotionAnimator().set_valence_arousal(0, 2)
    with pytest.raises(ValueError, match="valence and arousal must be in"):
        IdleMotionAnimator().set_valence_arousal(math.nan, 0)


def test_a_clock_that_jumps_does_not_tear_the_face() -> None:
    animator = IdleMotionAnimator(0)
    before = live(animator, 5)[-1]
    for time in (1000.0, 3.0, 3.0):
        after = animator.state_at(time, REST, speaking=False)
        assert abs(after.head_yaw - before.head_yaw) < 0.02
        before = after


def test_every_state_is_in_range() -> None:
    random = np.random.default_rng(0)
    animator = IdleMotionAnimator(7)
    for i in range(3000):
        if i % 50 == 0:
            animator.set_expression(random.random(7))
            animator.look_at(*random.uniform(-0.6, 0.6, 2))
        state = animator.state_at(i / FPS, MouthShape(*random.random(6)), bool(i % 3))
        values = [getattr(state, f) for f in FaceState.__dataclass_fields__ if f != "mouth"]
        assert np.isfinite(values).all()
        assert 0 <= state.blink <= 1
        assert max(map(abs, (state.smile, state.inner_brow, state.outer_brow, state.lids))) <= 1
