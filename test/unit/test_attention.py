"""Tests attention on simulated people, whose place and gaze are known at every stamp."""

import dataclasses
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from face_perception import geometry
from face_perception.attention import AttentionSettings, AttentionTracker
from face_perception.types import Attention, Engagement, Eyes, Face, Gaze, HeadPose, Roi, Target

# All changes of engagement that are possible. A state may also stay the same.
_TRANSITIONS = {
    Engagement.UNKNOWN: {Engagement.DISENGAGED, Engagement.ENGAGING},
    Engagement.DISENGAGED: {Engagement.UNKNOWN, Engagement.ENGAGING},
    Engagement.ENGAGING: {Engagement.UNKNOWN, Engagement.DISENGAGED, Engagement.ENGAGED},
    Engagement.ENGAGED: {Engagement.UNKNOWN, Engagement.DISENGAGING},
    Engagement.DISENGAGING: {Engagement.UNKNOWN, Engagement.DISENGAGED, Engagement.ENGAGED},
}

RATE = 30.0
ROBOT = (0.0, 0.0, 0.0)
AWAY = (5.0, 0.0, 1.0)
NAN3 = np.full(3, np.nan)


@dataclass(frozen=True)
class Person:
    """A person who stands at ``at`` and looks at the point ``looks_at(t)``.

    The head points to where the eyes look, or to ``head_at``. ``eyes(t)`` is the state of the eyes;
    the gaze is valid while they are open. There is no face while ``seen(t)`` is false. ``sigma`` is
    the error of the gaze in degrees.
    """

    id: str
    at: tuple[float, float, float]
    looks_at: Callable[[float], tuple[float, float, float]]
    head_at: tuple[float, float, float] | None = None
    eyes: Callable[[float], Eyes] = field(default=lambda t: Eyes.OPEN)
    sigma: float = 2.0
    seen: Callable[[float], bool] = field(default=lambda t: True)

    def face(self, t: float) -> Face:
        target = self.looks_at(t) if self.head_at is None else self.head_at
        forward = towards(self.at, target)
        left = np.cross([0.0, -1.0, 0.0], forward)
        left /= np.linalg.norm(left)
        pose = HeadPose(np.array(self.at), np.stack([forward, left, np.cross(forward, left)], 1))
        return Face(self.id, 1.0, Roi(0, 0, 1, 1), np.zeros((478, 3), np.float32), pose)

    def gaze(self, t: float) -> Gaze:
        direction = towards(self.at, self.looks_at(t))
        eyes, sigma = self.eyes(t), math.radians(self.sigma)
        return Gaze(
            face_id=self.id,
            origin=np.array(self.at),
            direction=direction,
            confidence=1.0,
            valid=eyes == Eyes.OPEN,
            source="scripted",
            eyes=eyes,
            yaw_sigma=sigma,
            pitch_sigma=sigma,
        )


def towards(a: tuple[float, ...], b: tuple[float, ...]) -> np.ndarray:
    line = np.subtract(b, a).astype(float)
    return line / np.linalg.norm(line)


def beside(point: tuple[float, ...], at: tuple[float, ...], degrees: float) -> tuple[float, ...]:
    """Returns a point as far from ``at`` as ``point``, seen ``degrees`` to the side of it."""
    line, a = np.subtract(point, at), math.radians(degrees)
    up = np.array([0.0, -1.0, 0.0]) - (-line[1] / (line @ line)) * line
    side = np.cross(up / np.linalg.norm(up), line)
    return tuple(np.add(at, math.cos(a) * line + math.sin(a) * side))


def play(
    people: list[Person], seconds: float, tracker: AttentionTracker, start: float = 0.0
) -> Iterator[tuple[float, dict[str, Attention]]]:
    for k in range(round(seconds * RATE)):
        t = start + k / RATE
        here = [person for person in people if person.seen(t)]
        result = tracker.update(
            t, [person.face(t) for person in here], [person.gaze(t) for person in here]
        )
        assert [a.face_id for a in result] == [person.id for person in here]
        yield t, {a.face_id: a for a in result}


def still(*people: Person, **settings: float) -> dict[str, Attention]:
    """Returns the result of a single image."""
    ((_, result),) = play(list(people), 1 / RATE, AttentionTracker(AttentionSettings(**settings)))
    return result


def seen_between(person: Person, begin: float, end: float) -> list[Attention]:
    return [
        result[person.id]
        for t, result in play([person], end, AttentionTracker())
        if begin <= t < end
    ]


def changes(people: list[Person], seconds: float, value: Callable[[Attention], object]) -> list:
    """Returns (stamp, value) of the first person at each change of the value."""
    out: list[tuple[float, object]] = []
    for t, result in play(people, seconds, AttentionTracker()):
        if people[0].id in result:
            now = value(result[people[0].id])
            if not out or out[-1][1] != now:
                out.append((round(t, 3), now))
    return out


def test_one_image_is_enough() -> None:
    at = (0.4, -0.3, 1.5)
    anna = still(Person("anna", at, lambda t: ROBOT))["anna"]
    assert anna.looking_at_robot
    assert anna.target == Target.ROBOT
    assert anna.angle == pytest.approx(0, abs=1e-6)
    assert anna.distance == pytest.approx(np.linalg.norm(at))
    assert (anna.target_since, anna.engagement_since) == (0.0, 0.0)
    assert anna.engagement == Engagement.ENGAGING
    assert anna.source == "scripted"
    assert math.isnan(anna.eye_contact)

    bert = still(Person("bert", at, lambda t: beside(ROBOT, at, 40)))["bert"]
    assert not bert.looking_at_robot
    assert bert.target == Target.NONE
    assert bert.angle == pytest.approx(math.radians(40))
    assert bert.engagement == Engagement.DISENGAGED


def test_robot_point_is_what_counts_not_the_camera() -> None:
    at = (0.0, 0.0, 1.0)
    screen = (0.5, 0.0, 0.0)
    looks_at_screen = Person("anna", at, lambda t: screen)
    assert not still(looks_at_screen)["anna"].looking_at_robot
    anna = still(looks_at_screen, robot_point=screen)["anna"]
    assert anna.looking_at_robot
    assert anna.distance == pytest.approx(math.hypot(0.5, 1.0))


def test_probability_has_hysteresis() -> None:
    at = (0.0, 0.0, 1.5)

    def sweep(t: float) -> tuple[float, float, float]:
        # The gaze moves away by half a degree an image for 2 s, and then back again.
        return beside(ROBOT, at, 15 * (t if t < 2 else 4 - t))

    settings = {"enter_time": 0.0, "leave_time": 0.0}
    seen = [
        (result["anna"].angle, result["anna"].looking_at_robot)
        for _, result in play(
            [Person("anna", at, sweep)], 4, AttentionTracker(AttentionSettings(**settings))
        )
    ]
    last = max(angle for angle, looking in seen[:60] if looking)
    first = max(angle for angle, looking in seen[60:] if looking)
    assert math.radians(4) < first < last < math.radians(11)
    assert all(looking == (angle <= last) for angle, looking in seen[:60]), "no flicker outwards"
    assert all(looking == (angle <= first) for angle, looking in seen[60:]), "nor on the way back"


def test_confidence_is_the_probability_of_the_target() -> None:
    at = (0.0, 0.0, 1.0)

    def confidence(degrees: float, sigma: float = 2.0) -> tuple[Target, float]:
        person = Person("anna", at, lambda t: beside(ROBOT, at, degrees), sigma=sigma)
        result = still(person)["anna"]
        return result.target, result.confidence

    assert confidence(0) == (Target.ROBOT, pytest.approx(0.99, abs=0.01))
    assert confidence(0, sigma=6)[1] < confidence(0)[1]
    near, far = confidence(12), confidence(30)
    assert (near[0], far[0]) == (Target.NONE, Target.NONE)
    assert 0.9 < near[1] <= far[1] <= 1


def test_an_estimator_that_underestimates_pitch_is_less_sure_of_looks_down() -> None:
    """A look 10 degrees down is reported as 4 degrees. With the stated gain, the robot stays
    possible.
    """
    at = (0.0, 0.0, 1.0)
    face = Person("anna", at, lambda t: ROBOT).face(0)
    down = geometry.from_yaw_pitch(0.0, math.radians(-4))
    said = Gaze("anna", np.array(at), down, 1.0, True, "geometric", eyes=Eyes.OPEN)

    def robot(**error: float) -> float:
        gaze = dataclasses.replace(said, **error)
        (result,) = AttentionTracker(
            AttentionSettings(enter_probability=0.01, leave_probability=0.01)
        ).update(0.0, [face], [gaze])
        assert result.target == Target.ROBOT
        return result.confidence

    sigma = math.radians(2)
    exact = robot(yaw_sigma=sigma, pitch_sigma=sigma)
    shrunk = robot(yaw_sigma=sigma, pitch_sigma=sigma, pitch_gain=0.39)
    assert shrunk < exact - 0.1


def test_blinks_and_short_glances_change_nothing() -> None:
    at = (0.3, 0.0, 1.2)
    # The head points elsewhere, so a blink must not fall back on the head pose.
    person = Person(
        "anna",
        at,
        lambda t: AWAY if 3.0 <= t < 3.3 else ROBOT,
        head_at=beside(ROBOT, at, 45),
        eyes=lambda t: Eyes.BLINK if 2.0 <= t < 2.25 else Eyes.OPEN,
    )
    assert changes([person], 5, lambda a: a.target) == [(0.0, Target.ROBOT)]
    assert {s for _, s in changes([person], 5, lambda a: a.source)} == {"scripted"}


def test_closed_eyes_look_at_nothing_however_the_head_points() -> None:
    """A person who weeps with closed eyes, head towards the robot, is not engaged."""
    person = Person(
        "anna",
        (0.0, 0.0, 1.0),
        lambda t: ROBOT,
        eyes=lambda t: Eyes.OPEN if t < 2 else Eyes.CLOSED if t < 6 else Eyes.OPEN,
    )
    states = changes([person], 8, lambda a: (a.looking_at_robot, a.source, a.eyes))
    assert [state for _, state in states] == [
        (True, "scripted", Eyes.OPEN),
        (False, "eyes_closed", Eyes.CLOSED),
        (False, "scripted", Eyes.OPEN),
        (True, "scripted", Eyes.OPEN),
    ]
    assert states[1][0] == 2.0, "at once: the eyes have been closed for longer than a blink"
    assert [e for _, e in changes([person], 8, lambda a: a.engagement)] == [
        Engagement.ENGAGING,
        Engagement.ENGAGED,
        Engagement.DISENGAGING,
        Engagement.DISENGAGED,
        Engagement.ENGAGING,
        Engagement.ENGAGED,
    ]
    asleep = still(Person("bert", (0.0, 0.0, 1.0), lambda t: ROBOT, eyes=lambda t: Eyes.CLOSED))
    assert (asleep["bert"].target, asleep["bert"].confidence) == (Target.NONE, 1.0)
    assert math.isnan(asleep["bert"].angle)


def test_looking_away_and_back_takes_its_time_and_says_since_when() -> None:
    person = Person("anna", (0.0, 0.0, 1.0), lambda t: AWAY if 2 <= t < 4 else ROBOT)
    (t0, first), (t1, second), (t2, third) = changes(
        [person], 6, lambda a: (a.target, round(a.target_since, 3))
    )
    assert (t0, first) == (0.0, (Target.ROBOT, 0.0))
    assert 2.35 < t1 < 2.45
    assert second == (Target.NONE, 2.0), "since the first image of the look away"
    assert 4.1 < t2 < 4.2
    assert third == (Target.ROBOT, 4.0)


def test_people_who_look_at_each_other() -> None:
    a, b, c = (-0.6, 0.0, 1.5), (0.6, -0.1, 1.6), (0.0, 0.1, 3.0)
    result = still(
        Person("anna", a, lambda t: b),
        Person("bert", b, lambda t: a),
        Person("carl", c, lambda t: b),
    )
    targets = {i: (r.target, r.target_id) for i, r in result.items()}
    assert targets == {
        "anna": (Target.FACE, "bert"),
        "bert": (Target.FACE, "anna"),
        "carl": (Target.FACE, "bert"),
    }
    assert not any(r.looking_at_robot for r in result.values())


def test_the_more_probable_target_wins() -> None:
    at, near_line = (0.0, 0.0, 2.0), (0.2, 0.0, 1.0)  # 11.3 degrees to the side of the robot
    other = Person("other", near_line, lambda t: AWAY)
    robot = still(Person("anna", at, lambda t: ROBOT), other)["anna"]
    assert (robot.target, robot.target_id) == (Target.ROBOT, "")
    face = still(Person("anna", at, lambda t: near_line), other)["anna"]
    assert (face.target, face.target_id) == (Target.FACE, "other")
    assert not face.looking_at_robot
    assert face.angle == pytest.approx(math.atan2(0.2, 1.0))


def test_a_target_between_two_faces_does_not_flicker() -> None:
    at, left, right = (0.0, 0.0, 1.0), (-0.15, 0.0, 2.0), (0.15, 0.0, 2.0)

    def dither(t: float) -> tuple[float, float, float]:
        return (-0.15 if t == 0 else 0.03 * (-1) ** round(t * RATE), 0.0, 2.0)

    people = [
        Person("anna", at, dither),
        Person("left", left, lambda t: AWAY),
        Person("right", right, lambda t: AWAY),
    ]
    assert changes(people, 3, lambda a: a.target_id) == [(0.0, "left")]


def test_a_target_that_is_gone_does_not_stay_while_others_take_turns() -> None:
    at = (0.0, 0.0, 1.5)
    sides = [beside(ROBOT, at, 40), beside(ROBOT, at, -40)]

    def alternate(t: float) -> tuple[float, ...]:
        return ROBOT if t < 1 else sides[round(t * RATE) // 3 % 2]

    people = [
        Person("anna", at, alternate),
        Person("left", sides[0], lambda t: AWAY),
        Person("right", sides[1], lambda t: AWAY),
    ]
    found = changes(people, 3, lambda a: a.looking_at_robot)
    assert [looking for _, looking in found] == [True, False]
    assert found[1][0] < 1.5


def test_head_stands_in_for_the_gaze() -> None:
    at = (0.2, -0.2, 1.4)
    person = Person("anna", at, lambda t: ROBOT, head_at=beside(ROBOT, at, 10))
    face = person.face(0)
    hidden = Person("anna", at, lambda t: AWAY, eyes=lambda t: Eyes.UNKNOWN)
    for gazes in ([], {}, {"anna": hidden.gaze(0)}):
        (result,) = AttentionTracker().update(0.0, [face], gazes)
        assert result.source == "head_pose"
        assert result.angle == pytest.approx(math.radians(10))
        assert result.target == Target.ROBOT
        assert not result.looking_at_robot, "a head alone says perhaps"
        assert 0.3 < result.confidence <= 0.5
    turned = dataclasses.replace(person, head_at=beside(ROBOT, at, 40)).face(0)
    (result,) = AttentionTracker().update(0.0, [turned], [])
    assert result.target == Target.NONE


def test_a_head_alone_never_engages_but_keeps_who_is_engaged() -> None:
    """With dark glasses the head stays towards the robot, and the eyes cannot be seen."""
    glasses = Person("anna", (0.0, 0.0, 1.0), lambda t: ROBOT, eyes=lambda t: Eyes.UNKNOWN)
    assert [e for _, e in changes([glasses], 5, lambda a: a.engagement)] == [Engagement.ENGAGING]
    glare = dataclasses.replace(glasses, eyes=lambda t: Eyes.UNKNOWN if 2 <= t < 4 else Eyes.OPEN)
    assert [e for _, e in changes([glare], 6, lambda a: a.engagement)] == [
        Engagement.ENGAGING,
        Engagement.ENGAGED,
    ]
    # Like a blink, glare counts only after some time.
    assert all(a.looking_at_robot for a in seen_between(glare, 2.0, 2.39))
    assert not any(a.looking_at_robot for a in seen_between(glare, 2.41, 4.14))


@pytest.mark.parametrize("rate", [2.0, 5.0, 30.0])
@pytest.mark.parametrize("gap", ["no gaze", "no valid gaze", "no gaze and no pose"])
def test_a_gaze_that_is_missing_in_one_image_changes_nothing(gap: str, rate: float) -> None:
    """A late message or a glint on glasses changes neither the target nor the engagement."""
    at = (0.3, 0.0, 1.2)
    # The head points elsewhere, so a gap must not fall back on the head pose.
    anna = Person("anna", at, lambda t: ROBOT, head_at=beside(ROBOT, at, 45))
    tracker = AttentionTracker()
    for k in range(round(4 * rate)):
        face, gazes = anna.face(k / rate), [anna.gaze(k / rate)]
        if k % 7 == 3:
            gazes = [dataclasses.replace(gazes[0], valid=False, eyes=Eyes.UNKNOWN)]
            if gap != "no valid gaze":
                gazes = []
            if gap == "no gaze and no pose":
                face = dataclasses.replace(face, pose=None)
        (result,) = tracker.update(k / rate, [face], gazes)
        assert result.looking_at_robot
        assert (result.target, result.target_since) == (Target.ROBOT, 0.0)
        assert result.source == "scripted"
        assert result.confidence > 0.9
        assert result.angle == pytest.approx(0, abs=1e-6)
    assert result.engagement == Engagement.ENGAGED


def test_the_angle_stays_that_of_the_gaze_during_a_blink() -> None:
    at = (0.0, 0.0, 1.2)
    anna = Person(
        "anna",
        at,
        lambda t: ROBOT,
        head_at=beside(ROBOT, at, 45),
        eyes=lambda t: Eyes.BLINK if 1 <= t < 1.2 else Eyes.OPEN,
    )
    assert max(a.angle for a in seen_between(anna, 0.0, 2.0)) < 1e-6


def test_a_gaze_that_is_seen_in_one_image_does_not_say_looking_at_the_robot() -> None:
    """The person wears dark glasses, with the head towards the robot. The eyes are seen now and
    then.
    """
    anna = Person(
        "anna",
        (0.0, 0.0, 1.0),
        lambda t: ROBOT,
        eyes=lambda t: Eyes.OPEN if round(t * RATE) % 15 == 7 else Eyes.UNKNOWN,
    )
    found = seen_between(anna, 0.0, 3.0)
    assert not any(a.looking_at_robot for a in found)
    assert {a.source for a in found} == {"head_pose"}


def test_eyes_that_are_seen_at_last_decide_without_a_time_of_looking_at_the_robot() -> None:
    """The head points to the robot and the eyes are hidden. Then the eyes are seen to look
    elsewhere.
    """
    at = (0.0, 0.0, 1.0)
    anna = Person(
        "anna",
        at,
        lambda t: beside(ROBOT, at, 25),
        head_at=ROBOT,
        eyes=lambda t: Eyes.UNKNOWN if t < 1 else Eyes.OPEN,
    )
    assert changes([anna], 3, lambda a: a.target)[0] == (0.0, Target.ROBOT)
    assert changes([anna], 3, lambda a: a.target)[1][1] == Target.NONE
    assert not any(a.looking_at_robot for a in seen_between(anna, 0.0, 3.0))


def test_no_pose_and_no_gaze_is_unknown() -> None:
    face = Face("anna", 1.0, Roi(0, 0, 1, 1), np.zeros((478, 3)), None)
    bad = Gaze("anna", NAN3, NAN3, 0.0, False, "geometric")
    nowhere = HeadPose(NAN3, np.full((3, 3), np.nan))
    with_nan = Face("anna", 1.0, Roi(0, 0, 1, 1), np.full((478, 3), np.nan), nowhere)
    lying = Gaze("anna", np.zeros(3), NAN3, 1.0, True, "geometric")
    for f, gazes in ((face, []), (face, [bad]), (with_nan, [bad]), (face, [lying])):
        (result,) = AttentionTracker().update(0.0, [f], gazes)
        assert result.target == Target.UNKNOWN
        assert result.engagement == Engagement.UNKNOWN
        assert not result.looking_at_robot
        assert math.isnan(result.angle)


def test_a_face_without_pose_does_not_hide_the_others() -> None:
    a, b = (-0.5, 0.0, 1.5), (0.5, 0.0, 1.5)
    faces = [
        Person("anna", a, lambda t: b).face(0),
        Person("bert", b, lambda t: a).face(0),
        Face("blur", 1.0, Roi(0, 0, 1, 1), np.zeros((478, 3)), None),
    ]
    result = AttentionTracker().update(0.0, faces, {})
    assert [r.target_id for r in result] == ["bert", "anna", ""]


def test_engagement_from_first_look_to_turning_away() -> None:
    person = Person("anna", (0.0, 0.0, 1.0), lambda t: ROBOT if 1 <= t < 4 else AWAY)
    found = changes([person], 8, lambda a: (a.engagement, round(a.engagement_since, 3)))
    times = {state: t for t, (state, _) in found}
    assert [state for _, (state, _) in found] == [
        Engagement.DISENGAGED,
        Engagement.ENGAGING,
        Engagement.ENGAGED,
        Engagement.DISENGAGING,
        Engagement.DISENGAGED,
    ]
    assert all(since == t for t, (_, since) in found)
    assert times[Engagement.ENGAGED] == pytest.approx(1.15 + 1.0, abs=0.1)
    assert times[Engagement.DISENGAGING] == pytest.approx(4.4, abs=0.1)
    assert times[Engagement.DISENGAGED] == pytest.approx(6.4, abs=0.1)


def test_a_glance_aside_does_not_disengage_and_one_look_does_not_engage() -> None:
    anna = Person("anna", (0.0, 0.0, 1.0), lambda t: AWAY if 2 <= t < 3.5 else ROBOT)
    assert [e for _, e in changes([anna], 5, lambda a: a.engagement)] == [
        Engagement.ENGAGING,
        Engagement.ENGAGED,
        Engagement.DISENGAGING,
        Engagement.ENGAGED,
    ]
    bert = Person("bert", (0.0, 0.0, 1.0), lambda t: ROBOT if 1 <= t < 1.5 else AWAY)
    assert [e for _, e in changes([bert], 4, lambda a: a.engagement)] == [
        Engagement.DISENGAGED,
        Engagement.ENGAGING,
        Engagement.DISENGAGED,
    ]


def test_too_far_to_engage() -> None:
    far = Person("anna", (0.0, 0.0, 5.0), lambda t: ROBOT)
    tracker = AttentionTracker()
    results = [result["anna"] for _, result in play([far], 3, tracker)]
    assert all(r.looking_at_robot for r in results)
    assert {r.engagement for r in results} == {Engagement.DISENGAGED}
    near = AttentionTracker(AttentionSettings(max_distance=6.0))
    assert list(play([far], 3, near))[-1][1]["anna"].engagement == Engagement.ENGAGED


def test_distance_noise_at_the_limit_does_not_disengage() -> None:
    tracker = AttentionTracker(AttentionSettings(max_distance=2.0))
    found = []
    for k in range(120):
        at = (0.0, 0.0, 1.9 if k == 0 else 2.0 + 0.1 * (-1) ** k)
        (_, result), *_ = play([Person("anna", at, lambda t: ROBOT)], 1 / RATE, tracker, k / RATE)
        found.append(result["anna"].engagement)
    assert set(found) == {Engagement.ENGAGING, Engagement.ENGAGED}
    leaving = Person("anna", (0.0, 0.0, 2.3), lambda t: ROBOT)
    (_, result), *_ = play([leaving], 1 / RATE, tracker, 120 / RATE)
    assert result["anna"].engagement == Engagement.DISENGAGING


def test_a_short_absence_keeps_the_state_and_a_long_one_does_not() -> None:
    def engagement_after(absence: float) -> list[Engagement]:
        person = Person(
            "anna", (0.0, 0.0, 1.0), lambda t: ROBOT, seen=lambda t: not 2 <= t < 2 + absence
        )
        return [e for _, e in changes([person], 2.5 + absence, lambda a: a.engagement)]

    assert engagement_after(0.8) == [Engagement.ENGAGING, Engagement.ENGAGED]
    assert engagement_after(1.5) == [
        Engagement.ENGAGING,
        Engagement.ENGAGED,
        Engagement.ENGAGING,
    ]


def test_a_moment_without_any_pose_changes_nothing() -> None:
    person = Person("anna", (0.0, 0.0, 1.0), lambda t: ROBOT)
    tracker = AttentionTracker()
    assert list(play([person], 2, tracker))[-1][1]["anna"].engagement == Engagement.ENGAGED
    blurred = Face("anna", 1.0, Roi(0, 0, 1, 1), np.zeros((478, 3)), None)
    for k in range(20):
        (result,) = tracker.update(2 + k / RATE, [blurred], [])
        away = k / RATE >= 0.41
        expected = Engagement.UNKNOWN if away else Engagement.ENGAGED
        assert result.engagement == expected, k


def test_a_clock_that_goes_back_starts_afresh() -> None:
    person = Person("anna", (0.0, 0.0, 1.0), lambda t: ROBOT)
    tracker = AttentionTracker()
    first = list(play([person], 3, tracker, start=100.0))
    again = list(play([person], 3, tracker, start=100.0))
    assert first == again
    assert first[-1][1]["anna"].engagement == Engagement.ENGAGED
    assert again[0][1]["anna"].engagement_since == 100.0


def random_person(rng: random.Random, name: str) -> Person:
    """Returns a person who changes the target, blinks and disappears at random times."""
    at = (rng.uniform(-1, 1), rng.uniform(-0.5, 0.5), rng.uniform(0.5, 3.2))
    points = [ROBOT, ROBOT, AWAY, (0.0, 0.0, 2.0), (-3.0, 1.0, 1.0)]
    looks = [rng.choice(points) for _ in range(200)]
    eyes = rng.choices(list(Eyes), weights=(1, 7, 1, 1), k=200)
    seen = [rng.random() < 0.9 for _ in range(200)]
    pace = rng.uniform(0.5, 3)
    return Person(
        name,
        at,
        lambda t: looks[int(t * pace) % 200],
        eyes=lambda t: eyes[int(t * 4) % 200],
        seen=lambda t: seen[int(t * 3) % 200],
    )


@pytest.mark.parametrize("seed", range(8))
def test_properties_of_random_scenes(seed: int) -> None:
    rng = random.Random(seed)
    people = [random_person(rng, name) for name in ("anna", "bert", "carl")]
    settings = {
        "engage_time": rng.uniform(0, 1.5),
        "disengage_time": rng.uniform(0, 2),
        "forget_time": 100.0,
    }
    last: dict[str, Attention] = {}
    seen_states = set()
    for t, result in play(people, 20, AttentionTracker(AttentionSettings(**settings))):
        for face_id, now in result.items():
            seen_states.add(now.engagement)
            at_robot = now.target == Target.ROBOT
            assert now.looking_at_robot == (at_robot and now.source != "head_pose")
            assert math.isnan(now.confidence) or 0 <= now.confidence <= 1
            assert (now.target == Target.FACE) == (now.target_id != "")
            assert now.target_id != face_id
            assert now.target_since <= t
            before = last.get(face_id)
            if before is not None:
                assert now.target_since >= before.target_since
                changed = now.engagement != before.engagement
                assert (now.engagement_since == t) == changed
                if changed:
                    assert now.engagement in _TRANSITIONS[before.engagement]
                    lasted = t - before.engagement_since
                    if now.engagement == Engagement.ENGAGED and (
                        before.engagement == Engagement.ENGAGING
                    ):
                        assert lasted >= settings["engage_time"]
                    if now.engagement == Engagement.DISENGAGED and (
                        before.engagement == Engagement.DISENGAGING
                    ):
                        assert lasted >= settings["disengage_time"]
            last[face_id] = now
    assert len(seen_states) >= 3, "the script is too dull to test anything"


def test_the_order_of_faces_does_not_matter() -> None:
    rng = random.Random(99)
    people = [random_person(rng, name) for name in ("anna", "bert", "carl", "dora")]
    forwards = list(play(people, 5, AttentionTracker()))
    backwards = list(play(people[::-1], 5, AttentionTracker()))
    assert forwards == backwards


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"robot_point": (0.0, math.nan, 0.0)}, "robot_point"),
        ({"robot_point": (0.0, 0.0)}, "robot_point"),
        ({"enter_probability": 0.3, "leave_probability": 0.4}, "leave_probability"),
        ({"robot_radius": 0.0}, "robot_radius"),
        ({"robot_prior": 0.7, "face_prior": 0.3}, "robot_prior"),
        ({"head_sigma": math.nan}, "head_sigma"),
        ({"enter_time": 1.0, "leave_time": 0.5}, "enter_time"),
        ({"engage_time": -1.0}, "engage_time"),
        ({"forget_time": math.nan}, "forget_time"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        AttentionTracker(AttentionSettings(**settings))


def test_the_angle_is_that_of_the_design() -> None:
    """A face high in the image that looks at the lens does not look along the optical axis."""
    at = (0.0, -0.8, 1.0)
    parallel = Person("anna", at, lambda t: (0.0, -0.8, 0.0))
    result = still(parallel)["anna"]
    assert geometry.yaw_pitch(parallel.gaze(0).direction) == pytest.approx((0, 0))
    assert result.angle == pytest.approx(math.atan2(0.8, 1.0))
    assert not result.looking_at_robot


def test_a_robot_whose_place_is_not_known_is_nobodys_target() -> None:
    person = Person("a", (0.0, 0.0, 1.0), lambda t: ROBOT)
    tracker = AttentionTracker()
    seen = [person.face(0.0)], [person.gaze(0.0)]
    (known,) = tracker.update(0.0, *seen, robot=np.array(ROBOT))
    assert (known.target, known.distance) == (Target.ROBOT, 1.0)
    for step in range(1, 20):
        (unknown,) = tracker.update(step / 10, *seen, robot=NAN3)
    assert (unknown.target, unknown.engagement) == (Target.UNKNOWN, Engagement.UNKNOWN)
    assert not unknown.looking_at_robot
    assert math.isnan(unknown.distance)
    # A point that moves away takes the look with it.
    for step in range(20, 40):
        (away,) = tracker.update(step / 10, *seen, robot=np.array(AWAY))
    assert away.target == Target.NONE
