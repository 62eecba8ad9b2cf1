"""Tests who is said to speak: lips that move with recorded speech, and others that do not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from lips_scene import (
    Lips,
    Sound,
    chewing_lips,
    face_with_lips,
    heard,
    play,
    recorded,
    smiling_lips,
    speaking_lips,
    still_lips,
)

from face_perception.attention import SpeakerChoice, SpeakerSettings, WhoSpeaks, WhoSpeaksSettings
from face_perception.attention.lip_motion import (
    GRID_STEP,
    change_per_second,
    lip_motion,
    lip_opening,
)
from face_perception.errors import InputError
from face_perception.geometry import rotation_matrix
from face_perception.speech import MOUTH_RATE, AudioChunk, SoundLevel
from face_perception.types import Face, HeadPose

SECONDS = 10.0


@pytest.fixture(scope="module")
def speech() -> tuple[Lips, Sound]:
    samples = recorded(SECONDS)
    return speaking_lips(samples), heard(samples)


def shares(people: dict[str, Lips], sound: Sound, who: WhoSpeaks | None = None) -> dict[str, float]:
    """Returns the share of the images after the first second in which each is said to speak."""
    found = [p for t, p in play(people, sound, SECONDS, who or WhoSpeaks()) if t > 1]
    return {name: float(np.mean([p[name] >= 0.5 for p in found])) for name in people}


@pytest.mark.parametrize("other", [still_lips, chewing_lips, smiling_lips])
def test_the_one_whose_lips_move_with_the_sound(speech: tuple[Lips, Sound], other: Lips) -> None:
    lips, sound = speech
    found = shares({"speaker": lips, "other": other}, sound)
    assert found["speaker"] > 0.85
    assert found["other"] < 0.05


def test_of_two_who_move_their_lips_the_one_in_time_speaks(speech: tuple[Lips, Sound]) -> None:
    lips, sound = speech
    silent = speaking_lips(recorded(SECONDS, begin=4.0))
    found = shares({"speaker": lips, "silent": silent}, sound)
    assert found["speaker"] > 0.6
    assert found["silent"] < 0.25
    # Without the level of the sound nothing can tell them apart, and no one is certain.
    without = list(play({"a": lips, "b": silent}, Sound(sound.voice, []), SECONDS, WhoSpeaks()))
    assert np.median([max(p.values()) for t, p in without if t > 1]) < 0.9


def test_a_turn_ends_soon_after_the_voice(speech: tuple[Lips, Sound]) -> None:
    lips, sound = speech
    voice = [(t, p if t < 5 else 0.02) for t, p in sound.voice]
    end = max(t for t, p in voice if p > 0.5)
    people = {"speaker": lips, "other": still_lips}
    said = [t for t, p in play(people, Sound(voice, sound.level), 8, WhoSpeaks())
            if p["speaker"] >= 0.5]  # fmt: skip
    assert end - 0.1 < max(said) < end + 0.22


def test_only_what_lips_did_since_the_voice_began_counts() -> None:
    times = np.arange(60) * GRID_STEP
    opening = np.where(times < 0.9, 0.05, 0.05 + 0.04 * np.sin(25 * times))
    change = change_per_second(opening)
    before, since = lip_motion(change, opening), lip_motion(change, opening, 0.3)
    assert since.speed > 1.2 * before.speed
    assert math.isnan(since.rhythm)
    assert before.rhythm > 0
    assert lip_motion(change, opening, 2.0) == before


def test_speech_from_outside_the_picture_is_nobodys(speech: tuple[Lips, Sound]) -> None:
    _, sound = speech
    found = shares({"a": still_lips, "b": smiling_lips}, sound)
    assert max(found.values()) < 0.05
    # Lips that move without fitting the sound are doubtful, but not those of the speaker.
    played = list(play({"a": chewing_lips}, sound, SECONDS, WhoSpeaks()))
    assert np.mean([p["a"] for t, p in played if t > 4]) < 0.75


def test_lips_without_a_voice_do_not_speak(speech: tuple[Lips, Sound]) -> None:
    lips, sound = speech
    silence = Sound([(t, 0.01) for t, _ in sound.voice], [(t, -80.0) for t, _ in sound.level])
    played = play({"a": lips, "b": chewing_lips}, silence, SECONDS, WhoSpeaks())
    assert max(max(p.values()) for t, p in played if t > 1) < 0.05


def test_two_at_once(speech: tuple[Lips, Sound]) -> None:
    samples = [recorded(SECONDS), recorded(SECONDS, begin=4.0)]
    people = {"a": speaking_lips(samples[0]), "b": speaking_lips(samples[1])}
    found = list(play(people, heard(samples[0] + samples[1]), SECONDS, WhoSpeaks()))
    assert np.mean([p["a"] + p["b"] > 0.7 for t, p in found if t > 1]) > 0.8


def test_while_the_robot_speaks_nothing_is_known(speech: tuple[Lips, Sound]) -> None:
    lips, sound = speech
    gated = Sound([(t, math.nan) for t, _ in sound.voice], sound.level)
    who = WhoSpeaks()
    assert all(math.isnan(p["a"]) for _, p in play({"a": lips}, gated, 2.0, who))
    deaf = WhoSpeaks()
    assert all(math.isnan(p["a"]) for _, p in play({"a": lips}, Sound([], []), 2.0, deaf))
    assert (who.source, deaf.source) == ("lips_voice_and_sound", "")


@pytest.mark.parametrize("offset", [-0.5, -0.2, 0.0, 0.2, 0.5])
def test_the_clock_of_the_sound_is_estimated(speech: tuple[Lips, Sound], offset: float) -> None:
    lips, sound = speech
    who = WhoSpeaks()
    found = [p["a"] for t, p in play({"a": lips}, sound, SECONDS, who, offset) if t > 8]
    assert who.delay == pytest.approx(offset, abs=0.03)
    assert np.mean(np.array(found) >= 0.5) > 0.8


def test_the_delay_is_not_known_from_lips_that_do_not_fit(speech: tuple[Lips, Sound]) -> None:
    _, sound = speech
    who = WhoSpeaks()
    silent = speaking_lips(recorded(SECONDS, begin=4.0))
    assert [p for _, p in play({"a": silent}, sound, SECONDS, who)]
    assert math.isnan(who.delay)


def test_a_direction_decides(speech: tuple[Lips, Sound]) -> None:
    """Both move their lips alike, which nothing else tells apart; the second is at -0.29 rad."""
    lips, sound = speech
    who = WhoSpeaks(WhoSpeaksSettings(direction_sigma=0.1))
    for stamp, found in play({"a": lips, "b": lips}, sound, 4.0, who):
        who.hear_direction(stamp, math.nan)
        who.hear_direction(stamp, -0.29 + 2 * math.pi)  # a direction may be in any turn
        last = found
    assert last["b"] > 0.9
    assert last["a"] < 0.7


def test_hidden_lips_are_not_known(speech: tuple[Lips, Sound]) -> None:
    _, sound = speech
    who = WhoSpeaks()
    for time, value in sound.voice[:100]:
        who.hear_voice(time, value)
    face = face_with_lips("a", 0.1)
    assert face.pose is not None
    assert lip_opening(face) == pytest.approx(0.1, abs=1e-3)
    half = math.radians(70) / 2
    turned = rotation_matrix(0.0, math.sin(half), 0.0, math.cos(half)) @ face.pose.rotation
    hidden = [
        replace(face, pose=None),
        replace(face, pose=HeadPose(face.pose.position, turned)),
        replace(face, landmarks=np.full((478, 3), np.nan)),
    ]
    for k in range(10):
        for n, other in enumerate(hidden):
            found = who.update(1 + k / 25, [replace(other, face_id=str(n)), face])
            assert math.isnan(found[str(n)])
            assert k < 8 or 0 <= found["a"] < 0.5


def test_lips_are_measured_only_while_a_voice_is_listened_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = []

    def opening(face: Face) -> float:
        measured.append(face.face_id)
        return 0.02

    monkeypatch.setattr("face_perception.attention.who_speaks.lip_opening", opening)
    who, face = WhoSpeaks(), face_with_lips("a", 0.02)
    assert math.isnan(who.update(0.0, [face])["a"])
    assert not measured
    for k in range(1, 26):
        who.hear_voice(k / 25, 0.9)
        found = who.update(k / 25, [face])
    assert len(measured) == 25
    assert found["a"] < 0.5
    # Whoever published voice activity has stopped long ago.
    assert math.isnan(who.update(10.0, [face])["a"])
    assert (len(measured), who.source) == (25, "")


def test_stamps_that_go_back_begin_again(speech: tuple[Lips, Sound]) -> None:
    lips, sound = speech
    who = WhoSpeaks()
    first = [p["a"] for _, p in play({"a": lips}, sound, 3.0, who)]
    again = [p["a"] for _, p in play({"a": lips}, sound, 3.0, who)]
    np.testing.assert_array_equal(first, again)


def test_the_speaker_has_hysteresis() -> None:
    choice = SpeakerChoice(SpeakerSettings(speaker_enter_time=0.2, speaker_leave_time=0.4))
    said = [
        choice.update(k / 10, {"a": a, "b": b})
        for k, (a, b) in enumerate([(0.9, 0.1)] * 4 + [(0.2, 0.9)] + [(0.9, 0.2)] + [(0.0, 0.9)] * 4
                                   + [(0.0, math.nan)] * 6)
    ]  # fmt: skip
    assert said == ["", "", *["a"] * 6, *["b"] * 6, "", ""]
    assert choice.update(0.0, {"a": 0.9}) == ""
    with pytest.raises(InputError, match="speaker_leave_time"):
        SpeakerChoice(SpeakerSettings(speaker_leave_time=math.nan))


@pytest.mark.parametrize("size", [160, 333, 4000])
def test_levels_do_not_depend_on_the_chunks(size: int) -> None:
    samples = recorded(2.0)
    _, whole = SoundLevel().push(AudioChunk(5.0, MOUTH_RATE, samples))
    meter, levels, stamps = SoundLevel(), [], []
    for at in range(0, len(samples), size):
        chunk = AudioChunk(5.0 + at / MOUTH_RATE, MOUTH_RATE, samples[at : at + size])
        first, found = meter.push(chunk)
        stamps += [first + 0.02 * k for k in range(len(found))]
        levels += found.tolist()
    np.testing.assert_allclose(levels, whole)
    np.testing.assert_allclose(stamps, 5.0 + 0.02 * np.arange(len(levels)), atol=1e-6)
    # After a gap, the levels begin at the new stamp.
    first, found = meter.push(AudioChunk(9.0, MOUTH_RATE, samples[:640]))
    assert (first, len(found)) == (9.0, 2)
