"""Tests named targets, shares of looks, mutual gaze, joint attention, and who was here."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from test_attention import RATE, ROBOT, Person, beside

from face_perception.attention import (
    AttentionTracker,
    Departures,
    GazeEvents,
    NamedTarget,
    Shared,
    Sphere,
    TimeShares,
    merged_targets,
    parse_targets,
    spheres_in_image_frame,
)
from face_perception.errors import InputError
from face_perception.types import Attention, Target

CUP, DOOR = (0.3, 0.2, 0.8), (-1.5, 0.0, 3.0)
THINGS = {"cup": Sphere(np.array(CUP), 0.06), "door": Sphere(np.array(DOOR), 0.5)}
ANNA = (0.4, 0.0, 1.6)
BERT = (-0.5, 0.0, 1.6)


def play(
    people: list[Person], seconds: float, tracker: AttentionTracker, things: dict[str, Sphere]
) -> Iterator[tuple[float, list[Attention]]]:
    for k in range(round(seconds * RATE)):
        t = k / RATE
        here = [person for person in people if person.seen(t)]
        faces, gazes = [p.face(t) for p in here], [p.gaze(t) for p in here]
        yield t, tracker.update(t, faces, gazes, objects=things)


@pytest.mark.parametrize(("name", "point"), [("cup", CUP), ("door", DOOR)])
def test_a_look_at_a_named_target(name: str, point: tuple[float, float, float]) -> None:
    tracker = AttentionTracker()
    ((_, (anna,)),) = play([Person("anna", ANNA, lambda t: point)], 1 / RATE, tracker, THINGS)
    assert (anna.target, anna.target_name, anna.target_id) == (Target.OBJECT, name, "")
    assert anna.target_point == point
    assert not anna.looking_at_robot
    found = tracker.probabilities("anna")
    assert sum(found.values()) == pytest.approx(1)
    assert found[Target.OBJECT, name] == anna.confidence > 0.5


def test_a_large_target_is_looked_at_off_its_centre() -> None:
    off = beside(DOOR, ANNA, 6)  # the door covers 9 degrees to each side
    ((_, (anna,)),) = play(
        [Person("anna", ANNA, lambda t: off)], 1 / RATE, AttentionTracker(), THINGS
    )
    assert anna.target_name == "door"
    ((_, (anna,)),) = play(
        [Person("anna", ANNA, lambda t: beside(CUP, ANNA, 12))],
        1 / RATE,
        AttentionTracker(),
        {"cup": THINGS["cup"]},
    )
    assert anna.target == Target.NONE


def test_an_uncertain_gaze_gives_an_uncertain_target() -> None:
    things = {name: Sphere(np.array(p), 0.05) for name, p in (("a", CUP), ("b", (0.45, 0.2, 0.8)))}
    for sigma, least, most in ((1.0, 0.9, 1.0), (12.0, 0.05, 0.5)):
        tracker = AttentionTracker()
        list(play([Person("anna", ANNA, lambda t: CUP, sigma=sigma)], 1 / RATE, tracker, things))
        assert least < tracker.probabilities("anna")[Target.OBJECT, "a"] < most


def test_the_target_has_hysteresis_and_may_vanish() -> None:
    def looks(t: float) -> tuple[float, float, float]:
        return DOOR if 1.0 <= t < 1.1 else CUP

    tracker = AttentionTracker()
    person = Person("anna", ANNA, looks)
    names = [a[0].target_name for _, a in play([person], 2.0, tracker, THINGS)]
    assert set(names) == {"cup"}, "a glance of 0.1 s does not count"
    last = [a[0] for _, a in play([person], 2.0, tracker, {})][-1]
    assert (last.target, last.target_name) == (Target.NONE, "")


def test_a_target_with_the_id_of_a_face_is_left_out() -> None:
    """Events and shares name what is looked at by its name alone. Bert's id ends after 1 s."""
    tracker = AttentionTracker()
    bert = Person("bert", BERT, lambda t: CUP, seen=lambda t: t < 1)
    people = [Person("anna", ANNA, lambda t: BERT), bert]
    things = {"bert": THINGS["cup"], "door": THINGS["door"]}
    for t, found in play(people, 2.0, tracker, things):
        assert tracker.ambiguous == {"bert"}
        assert {target.target for target in found} <= {Target.FACE, Target.ROBOT, Target.NONE}
        if t >= 1:
            assert (Target.OBJECT, "bert") not in tracker.probabilities("anna")
            assert (Target.OBJECT, "door") in tracker.probabilities("anna")


def test_shares_of_the_time() -> None:
    def looks(t: float) -> tuple[float, float, float]:
        return CUP if t < 6 else ROBOT

    shares = TimeShares()
    for t, attention in play([Person("anna", ANNA, looks)], 8.0, AttentionTracker(), THINGS):
        shares.update(t, attention)
    found = shares.of("anna")
    assert set(found) == {"cup", "robot"}
    assert sum(found.values()) == pytest.approx(1)
    assert found["cup"] == pytest.approx(0.74, abs=0.03)  # 0.75, and older looks count less
    assert shares.of("nobody") == {}
    shares.update(0.0, [])
    assert shares.of("anna") == {}


def test_mutual_gaze_and_joint_attention() -> None:
    def anna(t: float) -> tuple[float, float, float]:
        return BERT if t < 2 else CUP

    def bert(t: float) -> tuple[float, float, float]:
        return ANNA if t < 3 else CUP

    people = [Person("anna", ANNA, anna), Person("bert", BERT, bert)]
    events, tracker = GazeEvents(), AttentionTracker()
    told = [
        (round(event.stamp, 1), event.shared, event.begins)
        for t, attention in play(people, 6.0, tracker, THINGS)
        for event in events.update(t, attention, "cup" if t >= 5 else "")
    ]
    mutual = Shared("mutual_gaze", ("anna", "bert"))
    joint = Shared("joint_attention", ("anna", "bert"), "cup")
    kinds = [(shared, begins) for _, shared, begins in told]
    assert kinds[:3] == [(mutual, True), (mutual, False), (joint, True)]
    assert set(kinds[3:]) == {
        (Shared("joint_attention", (name, "robot"), "cup"), True) for name in ("anna", "bert")
    }
    assert told[0][0] == 0.0
    assert 2.1 < told[1][0] < 3.0
    assert 3.1 < told[2][0] < 3.6
    assert set(events.now) == {joint, *(shared for shared, _ in kinds[3:])}
    assert [e.begins for e in events.update(0.0, [])] == [False] * 3, "a bag that loops"


def test_mutual_gaze_with_the_robot_needs_its_announcement() -> None:
    people = [Person("anna", ANNA, lambda t: ROBOT)]
    ((_, attention),) = play(people, 1 / RATE, AttentionTracker(), {})
    assert GazeEvents().update(0.0, attention) == []
    (event,) = GazeEvents().update(0.0, attention, "anna")
    assert event.shared == Shared("mutual_gaze", ("anna", "robot"))


def test_nothing_is_shared_over_a_time_without_images() -> None:
    """While nobody listens to the node, it gets no images."""
    people = [Person("anna", ANNA, lambda t: ROBOT)]
    ((_, attention),) = play(people, 1 / RATE, AttentionTracker(), {})
    events = GazeEvents()
    begins = [
        (event.stamp, event.begins)
        for stamp in (0.0, 1.0, 60.0)
        for event in events.update(stamp, attention, "anna")
    ]
    assert begins == [(0.0, True), (60.0, False), (60.0, True)]


def test_who_was_here() -> None:
    people = [
        Person("face_1", ANNA, lambda t: ROBOT, seen=lambda t: t < 2 or t > 8),
        Person("face_2", BERT, lambda t: ROBOT, seen=lambda t: t < 4),
    ]
    departures, tracker = Departures(), AttentionTracker()
    changed = []
    for t, attention in play(people, 9.0, tracker, {}):
        eyes = {p.id: np.array(p.at) for p in people}
        if departures.update(t, attention, eyes):
            changed.append((round(t), [one.face_id for one in departures.departed]))
    assert changed == [(4, ["face_1"]), (6, ["face_2", "face_1"]), (8, ["face_2"])]
    (gone,) = departures.departed
    assert gone.point == BERT
    assert gone.last_seen == pytest.approx(4, abs=0.05)
    assert gone.first_seen == 0
    for k in range(300):
        one = attention[0].__class__(**{**_fields(attention[0]), "face_id": f"x{k}"})
        departures.update(20.0 + 3 * k, [one], {})
    assert len(departures.departed) == 100


def test_a_known_person_who_comes_back_under_another_id() -> None:
    ((_, (anna,)),) = play(
        [Person("face_1", ANNA, lambda t: ROBOT)], 1 / RATE, AttentionTracker(), {}
    )
    departures = Departures()
    known = {**_fields(anna), "person_id": "anna"}
    departures.update(0.0, [Attention(**known)], {})
    assert departures.update(5.0, [], {})
    assert departures.departed[0].person_id == "anna"
    assert math.isnan(departures.departed[0].point[0])
    assert departures.update(9.0, [Attention(**{**known, "face_id": "face_7"})], {})
    assert departures.departed == ()


def _fields(attention: Attention) -> dict[str, object]:
    return {name: getattr(attention, name) for name in Attention.__dataclass_fields__}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cup", "'cup' is not a target: write NAME=X,Y,Z,RADIUS"),
        ("cup=1,2,3", "not a target"),
        ("cup=1,2,3,a", "not a target"),
        ("cup=1,2,3,0.1@", "not a target"),
        ("cup=1,2,nan,0.1", "target cup: its point"),
        ("cup=1,2,3,0", "radius must be above 0 m, not 0.0"),
        ("cup=1,2,3,inf", "radius must be above 0 m, not inf"),
        ("=1,2,3,0.1", "the name '' of a target"),
        ("robot=1,2,3,0.1", "cannot be called robot"),
        ("cup=1,2,3,0.1; cup=3,2,1,0.1", "two targets are called cup"),
        (";".join(f"t{k}=0,0,1,0.1" for k in range(65)), "65 targets: at most 64"),
    ],
)
def test_wrong_targets_are_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_targets(text)


def test_targets_of_a_topic_replace_those_of_the_parameter() -> None:
    fixed = parse_targets(" cup = 0, 0, 1, 0.1 @ tray ;; door=1,0,2,0.5 ")
    assert fixed[0] == NamedTarget("cup", (0.0, 0.0, 1.0), 0.1, "tray")
    moved = NamedTarget("cup", (0.5, 0.0, 1.0), 0.1)
    assert merged_targets(fixed, [moved]) == (moved, fixed[1])
    assert set(spheres_in_image_frame([moved])) == {"cup"}
    with pytest.raises(InputError, match="target cup is in the frame tray: without ROS"):
        spheres_in_image_frame(fixed)
