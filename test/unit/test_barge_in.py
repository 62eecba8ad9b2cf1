"""Tests when a person counts as talking over the robot."""

from __future__ import annotations

import math

import pytest

from face_perception.errors import InputError
from face_perception.speech import VOICE_STEP, BargeIn, BargeInSettings

SETTINGS = BargeInSettings(barge_in="stop", barge_in_time=0.16)


def hear(barge_in: BargeIn, steps: str, first: float = 0.0) -> str:
    """Hears steps: a voice (v), silence (.), not known (?), a voice while the robot is silent (s).

    Returns T for each step after which a person talks over the robot.
    """
    probability = {"v": 0.9, ".": 0.1, "?": math.nan, "s": 0.9}
    return "".join(
        "T" if barge_in.hear(first + k * VOICE_STEP, probability[one], one != "s") else "."
        for k, one in enumerate(steps)
    )


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("vvvvvv", "....TT"),  # 5 steps are 0.16 s
        ("vvv..vvv", ".......T"),  # short gaps take a part of it away
        ("v.v.v.v.", "........"),
        ("v..v..v..v..v..v..", "." * 18),
        ("??????", "......"),
        ("vvvv????", "........"),
        ("sssssssss", "........."),  # nobody talks over a silent robot
        ("sssssvvvvv", ".........T"),
    ],
)
def test_a_voice_over_the_robot_counts_after_a_while(steps: str, expected: str) -> None:
    assert hear(BargeIn(SETTINGS), steps) == expected


def test_a_person_talks_on_until_half_a_second_of_silence() -> None:
    found = hear(BargeIn(SETTINGS), "vvvvv" + "." * 20)
    assert found == "...." + "T" * 16 + "." * 5
    barge_in = BargeIn(SETTINGS)
    assert hear(barge_in, "vvvvvs") == "....T.", "the robot has ended"
    assert hear(barge_in, "vvvvv", first=100.0) == "....T", "all of it counts again"


def test_speech_that_nobody_could_interrupt_is_counted() -> None:
    barge_in = BargeIn(SETTINGS)
    hear(barge_in, "??s?.??")
    assert barge_in.deaf == pytest.approx(2 * VOICE_STEP), "since it was known last"
    assert not barge_in.hear(1.0, math.nan, robot_speaks=False)
    assert barge_in.deaf == pytest.approx(2 * VOICE_STEP), "the robot is silent"
    barge_in.reset()
    assert barge_in.deaf == 0


def test_a_clock_that_goes_back_and_other_settings() -> None:
    barge_in = BargeIn(SETTINGS)
    hear(barge_in, "vvvv", first=100.0)
    assert hear(barge_in, "vvvvv", first=5.0) == "....T"
    barge_in.reset()
    barge_in.change_settings(BargeInSettings(barge_in="stop", barge_in_time=0.0))
    assert hear(barge_in, ".v", first=6.0) == ".T"
    for wrong in (-0.1, 80.0, math.inf):
        with pytest.raises(InputError, match="publish one from 0 to 1"):
            barge_in.hear(7.0, wrong, True)
    with pytest.raises(InputError, match="barge_in_time"):
        barge_in.change_settings(BargeInSettings(barge_in_time=-1.0))
