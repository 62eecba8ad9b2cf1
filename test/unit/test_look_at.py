"""Whom the robot should face: the policies, and their hysteresis over time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from face_perception.attention import LookAt, LookAtSettings
from face_perception.types import Attention, Engagement, Target

Seen = dict[str, dict[str, Any]]


def attention(seen: Seen) -> list[Attention]:
    out = []
    for face_id, more in seen.items():
        values = {"distance": 1.0, "engagement": Engagement.DISENGAGED, **more}
        out.append(
            Attention(
                face_id,
                "geometric",
                looking_at_robot=False,
                angle=0.1,
                target=Target.NONE,
                target_id="",
                target_since=0.0,
                engagement_since=0.0,
                **values,
            )
        )
    return out


def choices(look: LookAt, script: list[tuple[float, Seen]], rate: float = 10.0) -> list[str]:
    """Plays ``script``, (seconds, what is seen), and returns the choice at the end of each part."""
    out, stamp = [], 0.0
    for seconds, seen in script:
        for _ in range(round(seconds * rate)):
            stamp += 1 / rate
            choice = look.update(stamp, attention(seen))
        out.append(choice)
    return out


FAR_ENGAGED = {"distance": 2.0, "engagement": Engagement.ENGAGED}
SPEAKS = {"speaking": 0.9, "speaking_source": "x", "distance": 2.5}


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("engaged_first", "b"),
        ("nearest", "a"),
        ("speaker", "c"),
        ("person anna", "d"),
        ("person nobody", ""),
    ],
)
def test_policies(policy: str, chosen: str) -> None:
    seen: Seen = {
        "a": {"distance": 0.5},
        "b": FAR_ENGAGED,
        "c": SPEAKS,
        "d": {"person_id": "anna", "distance": math.nan},
    }
    look = LookAt(LookAtSettings(look_at_policy=policy))
    assert look.update(0.0, attention(seen)) == chosen


def test_without_a_speaker_the_most_engaged_is_faced() -> None:
    look = LookAt(LookAtSettings(look_at_policy="speaker"))
    assert look.update(0.0, attention({"a": {"speaking": math.nan}, "b": FAR_ENGAGED})) == "b"


def test_who_begins_to_look_comes_before_who_looks_away() -> None:
    states = [Engagement.DISENGAGED, Engagement.DISENGAGING, Engagement.ENGAGING]
    seen: Seen = {str(i): {"engagement": state} for i, state in enumerate(states)}
    assert LookAt().update(0.0, attention(seen)) == "2"


def test_a_turn_needs_a_reason_that_lasts() -> None:
    both: Seen = {"a": {"distance": 1.0}, "b": {"distance": 1.5}}
    engaged: Seen = {**both, "b": FAR_ENGAGED}
    script = [(0.1, both), (0.7, engaged), (0.5, both), (0.7, engaged), (0.3, engaged)]
    assert choices(LookAt(), script) == ["a", "a", "a", "a", "b"]


def test_two_people_at_the_same_distance_do_not_alternate() -> None:
    look = LookAt(LookAtSettings(look_at_policy="nearest"))
    nearer: Seen = {"a": {"distance": 1.0}, "b": {"distance": 0.9}}
    clearly: Seen = {"a": {"distance": 1.0}, "b": {"distance": 0.8}}
    script = [(0.1, {"a": {}}), (5.0, nearer), (1.0, clearly)]
    assert choices(look, script) == ["a", "a", "b"]


def test_a_lost_face_may_come_back() -> None:
    both: Seen = {"a": {"distance": 0.5}, "b": {}}
    script = [(0.1, both), (0.6, {"b": {}}), (0.1, both), (1.0, {"b": {}}), (0.5, {}), (0.6, {})]
    assert choices(LookAt(), script) == ["a", "a", "a", "b", "b", ""]


def test_a_new_first_face_is_chosen_at_once_and_a_bag_starts_again() -> None:
    look = LookAt()
    assert look.update(0.0, []) == ""
    assert look.update(0.1, attention({"a": {}})) == "a"
    assert look.update(0.0, attention({"b": {}})) == "b", "the stamps went back"


@pytest.mark.parametrize("policy", ["", "nearst", "person", "person ", "person  "])
def test_an_unknown_policy_is_refused(policy: str) -> None:
    with pytest.raises(ValueError, match="use engaged_first, nearest, speaker, or person NAME"):
        LookAt(LookAtSettings(look_at_policy=policy))
    look = LookAt()
    with pytest.raises(ValueError, match="look_at_policy"):
        look.change_settings(LookAtSettings(look_at_policy=policy))
