"""Tests the events of clips against scripts, whose truth is known."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic_session import Interval, Script, f1, lines, write

from face_perception.errors import InputError
from face_perception.results import (
    Clip,
    Event,
    EventKind,
    EventSettings,
    find_events,
    read_clip,
    summarise_persons,
    target_label,
)

RATE = 30.0
FRAME = 1 / RATE
LEFT, RIGHT = (-0.5, 0.0, 1.5), (0.5, 0.05, 1.5)


def play(folder: Path, *scripts: Script, seconds: float = 10.0, rate: float = RATE) -> Clip:
    return read_clip(write(folder / "clip.jsonl", lines(scripts, seconds, rate)))


def of(clip: Clip, kind: str, person: str = "ada", **settings: Any) -> list[Event]:
    used = EventSettings(**settings)
    return [e for e in find_events(clip, used) if e.kind.value == kind and e.person == person]


def times(events: Sequence[Event]) -> list[Interval]:
    return [(round(e.onset, 3), round(e.offset, 3)) for e in events]


def near(*truth: Interval) -> Any:
    return [pytest.approx(interval, abs=FRAME) for interval in truth]


def test_a_look_lasts_from_the_frame_in_which_it_began(tmp_path: Path) -> None:
    """The tracker decides 0.15 and 0.4 s later; the events do not."""
    ada = Script("ada", looks=[(1.0, 3.0, "robot"), (5.0, 9.0, "robot")])
    looks = of(play(tmp_path, ada), "look")
    assert times(looks) == near((1.0, 3.0), (5.0, 9.0))
    assert {look.target for look in looks} == {"robot"}
    assert all(look.onset_seen and look.offset_seen for look in looks)
    assert looks[0].frame == 30
    assert looks[0].frames == pytest.approx(60, abs=1)
    assert looks[0].confidence > 0.8


def test_a_blink_does_not_end_a_look_but_an_eye_closure_does(tmp_path: Path) -> None:
    ada = Script("ada", looks=[(0, 10, "robot")], shut=[(2.0, 2.2), (5.0, 6.5)])
    clip = play(tmp_path, ada)
    assert times(of(clip, "look")) == near((0, 5.0), (6.5, 10))
    assert times(of(clip, "blink")) == near((2.0, 2.2))
    (closure,) = of(clip, "eye_closure")
    assert (closure.onset, closure.offset) == pytest.approx((5.0, 6.5), abs=FRAME)
    assert (closure.peak, closure.confidence) == (1.0, 0.9)


def test_eyes_that_open_for_a_frame_belong_to_one_blink(tmp_path: Path) -> None:
    ada = Script("ada", shut=[(2.0, 2.1), (2.1 + FRAME, 2.3), (4.0, 4.2), (4.5, 4.7)])
    clip = play(tmp_path, ada)
    assert times(of(clip, "blink")) == near((2.0, 2.3), (4.0, 4.2), (4.5, 4.7))
    assert len(of(clip, "blink", shortest_opening=0.0)) == 4


def test_what_was_not_seen_to_begin_or_end_says_so(tmp_path: Path) -> None:
    ada = Script("ada", looks=[(0, 4, "robot"), (6, 10, "robot")])
    first, last = of(play(tmp_path, ada), "look")
    assert (first.onset_seen, first.offset_seen) == (False, True)
    assert (last.onset_seen, last.offset_seen) == (True, False)
    assert last.offset == pytest.approx(10.0), "the last frame lasts as long as the others"


@pytest.mark.parametrize("lost", ["hidden", "unseen_eyes"])
@pytest.mark.parametrize(("gap", "looks"), [(0.3, [(1, 8)]), (1.5, [(1, 4), (5.5, 8)])])
def test_a_short_gap_is_bridged_and_a_long_one_ends_the_look(
    tmp_path: Path, lost: str, gap: float, looks: list[Interval]
) -> None:
    ada = Script("ada", looks=[(1, 8, "robot")])
    ada = dataclasses.replace(ada, **{lost: [(4.0, 4.0 + gap)]})
    found = of(play(tmp_path, ada), "look")
    # After a gap the tracker waits until the eyes were seen for 0.15 s.
    assert times(found) == [pytest.approx(look, abs=0.17) for look in looks]
    assert found[0].offset == pytest.approx(looks[0][1], abs=FRAME)
    if len(looks) > 1:
        assert not found[0].offset_seen
        assert not found[1].onset_seen


def test_the_longest_gap_is_a_setting(tmp_path: Path) -> None:
    clip = play(tmp_path, Script("ada", looks=[(1, 8, "robot")], hidden=[(4.0, 4.8)]))
    assert len(of(clip, "look")) == 2
    assert len(of(clip, "look", longest_gap=1.0)) == 1
    with pytest.raises(InputError, match="longest_gap"):
        find_events(clip, EventSettings(longest_gap=-1.0))


def test_looks_at_persons_and_mutual_gaze(tmp_path: Path) -> None:
    ada = Script("ada", LEFT, [(1, 5, "bob"), (7, 9, "robot")], person_id="p1")
    bob = Script("bob", RIGHT, [(3, 8, "ada")])
    clip = play(tmp_path, ada, bob)
    (look,) = of(clip, "look", "bob")
    assert (look.target, look.target_person, look.target_id) == ("face", "p1", "ada")
    assert times([look]) == near((3, 8))
    assert [(e.target, e.target_person) for e in of(clip, "look", "p1")] == [
        ("face", "bob"),
        ("robot", ""),
    ]
    (both,) = of(clip, "mutual_gaze", "p1")
    assert times([both]) == near((3, 5))
    assert (both.target_person, both.face_id) == ("bob", "ada")
    assert both.frames == pytest.approx(60, abs=2)
    assert both.onset_seen
    assert of(clip, "mutual_gaze", "bob") == [], "one row for both"


def test_joint_attention_is_a_look_of_two_at_the_same_third(tmp_path: Path) -> None:
    ada = Script("ada", LEFT, [(1, 5, "eve"), (6, 9, "robot")])
    bob = Script("bob", RIGHT, [(3, 6, "eve"), (6, 9, "robot")])
    eve = Script("eve", (0.0, -0.6, 1.2), [(2, 4, "ada")])
    clip = play(tmp_path, ada, bob, eve)
    (joint,) = of(clip, "joint_attention")
    assert times([joint]) == near((3, 5))
    assert (joint.target, joint.target_person, joint.partner) == ("face", "eve", "bob")
    assert target_label(joint) == "eve with bob"
    (mutual,) = of(clip, "mutual_gaze")
    assert times([mutual]) == near((2, 4))
    assert (mutual.partner, target_label(mutual)) == ("eve", "eve")
    summaries = {one.person: one for one in summarise_persons(clip, find_events(clip))}
    for person, seconds in (("ada", 2.0), ("bob", 2.0), ("eve", 0.0)):
        amount = summaries[person].amounts[EventKind.JOINT_ATTENTION]
        assert amount.total == pytest.approx(seconds, abs=3 * FRAME), person


def test_short_looks_and_blinks_may_be_left_out(tmp_path: Path) -> None:
    ada = Script("ada", looks=[(1, 1.8, "robot"), (3, 6, "robot")], shut=[(7, 7.1), (8, 8.3)])
    clip = play(tmp_path, ada)
    assert times(of(clip, "look", shortest_look=1.0)) == near((3, 6))
    assert times(of(clip, "blink", shortest_blink=0.2)) == near((8, 8.3))


def test_a_person_keeps_looks_across_face_ids(tmp_path: Path) -> None:
    """A person whose face was lost for a moment, and got another id."""
    found = lines([Script("ada", looks=[(1, 8, "robot")], person_id="p1")], 10.0)
    for line in found[120:]:
        line["faces"][0]["face_id"] = "face_2"
    clip = read_clip(write(tmp_path / "clip.jsonl", found))
    assert times(of(clip, "look", "p1")) == near((1, 8))
    assert clip.person_of == {"ada": "p1", "face_2": "p1"}


def test_a_face_belongs_to_its_person_from_its_first_frame(tmp_path: Path) -> None:
    found = lines([Script("ada", person_id="p1")], 2.0)
    for line in found[:30]:
        line["faces"][0]["gaze"]["person_id"] = ""
    clip = read_clip(write(tmp_path / "clip.jsonl", found))
    assert list(clip.persons) == ["p1"]


def test_objects_are_targets(tmp_path: Path) -> None:
    found = lines([Script("ada", looks=[(1, 4, "robot")])], 6.0)
    for line in found:
        attention = line["faces"][0]["attention"]
        if attention["target"] == "robot":
            attention.update(target="object", target_name="cup")
    (look,) = of(read_clip(write(tmp_path / "clip.jsonl", found)), "look")
    assert (look.target, look.target_name, look.target_person) == ("object", "cup", "")


def test_a_target_guessed_from_the_head_is_no_look(tmp_path: Path) -> None:
    found = lines([Script("ada", looks=[(1, 4, "robot")])], 6.0)
    for line in found:
        line["faces"][0]["attention"]["source"] = "head_pose"
    assert of(read_clip(write(tmp_path / "clip.jsonl", found)), "look") == []


def test_smiles_and_speech(tmp_path: Path) -> None:
    ada = Script(
        "ada",
        smiles=[(2, 4), (6, 6.1)],  # the second is too short
        speech=[(1, 2), (2.3, 3), (6, 8), (9, 9.1)],  # with a short pause, and a sound
    )
    clip = play(tmp_path, ada)
    (smile,) = of(clip, "smile")
    assert times([smile]) == near((2, 4))
    assert smile.peak == 0.8
    assert times(of(clip, "speech")) == near((1, 3), (6, 8))
    assert of(play(tmp_path, Script("ada")), "speech") == []


def test_a_smile_goes_on_until_half_of_the_level(tmp_path: Path) -> None:
    found = lines([Script("ada")], 3.0)
    for number, line in enumerate(found):
        strength = 0.3 if 20 <= number < 30 else 0.15 if number < 60 else 0.05
        line["faces"][0]["action_units"]["12"] = strength
    clip = read_clip(write(tmp_path / "clip.jsonl", found))
    assert times(of(clip, "smile")) == near((20 / RATE, 60 / RATE))


def test_a_smile_does_not_outlast_a_long_gap(tmp_path: Path) -> None:
    """After it, a strength above half of the level is no smile: it never reached the level."""
    found = lines([Script("ada", hidden=[(1, 3)])], 5.0)
    for number, line in enumerate(found):
        for face in line["faces"]:
            face["action_units"]["12"] = 0.3 if number < 30 else 0.15
    clip = read_clip(write(tmp_path / "clip.jsonl", found))
    assert times(of(clip, "smile")) == near((0, 1))


def test_a_smile_of_a_network_without_intensity(tmp_path: Path) -> None:
    found = lines([Script("ada", smiles=[(1, 2)])], 3.0)
    for line in found:
        face = line["faces"][0]
        face["action_unit_probability"]["12"] = face["action_units"]["12"]
        face["action_units"]["12"] = None
    clip = read_clip(write(tmp_path / "clip.jsonl", found))
    assert times(of(clip, "smile")) == near((1, 2))


def test_results_of_older_versions_have_no_target_since(tmp_path: Path) -> None:
    found = lines([Script("ada", looks=[(1, 4, "robot")])], 6.0)
    for line in found:
        del line["faces"][0]["attention"]["target_since"]
    (look,) = of(read_clip(write(tmp_path / "clip.jsonl", found)), "look")
    assert look.onset == pytest.approx(1.15, abs=0.05)


def test_a_gap_in_the_recording_is_not_filled(tmp_path: Path) -> None:
    found = lines([Script("ada", looks=[(0, 20, "robot")])], 20.0)
    clip = read_clip(write(tmp_path / "clip.jsonl", [*found[:150], *found[450:]]))
    assert times(of(clip, "look")) == near((0, 5), (15, 20))
    assert clip.seconds == pytest.approx(10.0, abs=FRAME)


def test_the_length_of_a_long_recording_is_exact(tmp_path: Path) -> None:
    """Stamps of a bag are seconds since 1970: their sum has no digits left for milliseconds."""
    (line,) = lines([], 1 / RATE)
    stamps = [1.7e9 + number / 30 for number in range(30_000)]
    clip = read_clip(
        write(
            tmp_path / "bag.jsonl",
            [{**line, "frame": i, "stamp": stamp} for i, stamp in enumerate(stamps)],
        )
    )
    assert clip.seconds == pytest.approx(1000.0, abs=1e-3)


def random_script(name: str, at: Any, other: str, rng: random.Random) -> Script:
    """Returns looks of 0.5 to 3 s, with blinks of 0.1 to 0.3 s within and between them.

    Turns of speech last 0.3 to 4 s, with pauses of 0.6 to 3 s between them.
    """
    looks, shut, speech, t = [], [], [], 0.5
    while t < 40:
        end = t + rng.uniform(0.5, 3)
        looks.append((t, end, rng.choice(["robot", other])))
        t = end + rng.uniform(0.5, 2)
    t = 1.0
    while t < 43:
        shut.append((t, t + rng.uniform(0.1, 0.3)))
        t += rng.uniform(1.0, 5.0)
    talk, t = random.Random(name), 0.7
    while t < 40:
        speech.append((t, t + talk.uniform(0.3, 4)))
        t = speech[-1][1] + talk.uniform(0.6, 3)
    return Script(name, at, looks, shut, speech=speech)


@pytest.mark.parametrize(("seed", "rate"), [(1, 25.0), (2, 30.0)])
def test_looks_blinks_and_speech_of_random_scripts(tmp_path: Path, seed: int, rate: float) -> None:
    rng = random.Random(seed)
    ada, bob = (random_script(*who, rng) for who in (("ada", LEFT, "bob"), ("bob", RIGHT, "ada")))
    clip = play(tmp_path, ada, bob, seconds=45.0, rate=rate)
    for script in (ada, bob):
        blinks = of(clip, "blink", script.name)
        assert f1(blinks, script.shut, 1 / rate) >= 0.95
        assert f1(of(clip, "speech", script.name), script.speech, 1 / rate) >= 0.95
        for target, known in (("robot", "robot"), ("face", "bob" if script is ada else "ada")):
            looks = [e for e in of(clip, "look", script.name) if e.target == target]
            truth = [(a, b) for a, b, name in script.looks if name == known]
            # A blink at the edge of a look hides the edge.
            assert f1(looks, truth, 0.35) >= 0.95
            clear = [
                interval
                for interval in truth
                if not any(a - 0.5 < edge < b + 0.1 for a, b in script.shut for edge in interval)
            ]
            hits = [
                any(
                    look.onset == pytest.approx(a, abs=1 / rate)
                    and look.offset == pytest.approx(b, abs=1 / rate)
                    for look in looks
                )
                for a, b in clear
            ]
            assert all(hits), target


@pytest.mark.slow
def test_events_of_films_of_synthetic_people() -> None:
    """Through the whole pipeline: `python3 bench/events.py` has the figures of more people."""
    from bench.events import intervals_f1, measure

    films = [measure(number, 24.0, photo=number % 2 == 1) for number in range(2)]
    for kind in ("look", "blink", "smile"):
        assert intervals_f1([film[kind] for film in films]) >= 0.95, kind
