"""Tests voices: sentences of a text, hibari with its times, espeak-ng, and voices of packages."""

from __future__ import annotations

import itertools
import os
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_perception import paths
from face_perception.commands.avatar_demo import spoken
from face_perception.errors import InputError, MissingDependencyError
from face_perception.speech import (
    LONGEST_PIECE,
    LONGEST_TEXT,
    SpokenText,
    TimedWord,
    Utterance,
    VoiceError,
    open_voice,
    speak_text,
    split_text,
)
from face_perception.speech.voices import open_voice as opening


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. J. Smith, e.g. he, is 3.5 m tall! Is he? Yes", 3),
        ("She said: 'Go!' He went (home.) Then\nit rained", 4),
        ("你好。世界！", 2),
        ("a\x00b\ud800c\ttab \U0001f600", 1),
        ("... !!! ? one", 1),
    ],
)
def test_a_text_is_split_into_sentences(text: str, sentences: int) -> None:
    found = split_text(text)
    assert len(found) == sentences, found
    for sentence in found:
        sentence.encode()
        assert sentence.isprintable()
        assert sentence == sentence.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "<speak>Hello <break time=\"500ms\"/> <emphasis level='strong'>you</emphasis></speak>",
            "Hello you",
        ),
        ("<p>One.</p>\n<p\n class='a'>Two", "One. Two"),
        ("2 < 3 and b > a, or a<b", "2 < 3 and b > a, or a<b"),
        ("a &lt; b &amp;lt; R&D", "a < b &lt; R&D"),
        ("I <3 you", "I <3 you"),
        ('<?xml version="1.0"?>\n<!DOCTYPE speak>\n<speak>Hello</speak>', "Hello"),
        ("One. <!-- not <b>this</b>\n> -->Two.", "One. Two."),
        ("<speak><![CDATA[a < b]]></speak>", "a < b"),
        ("What <!? Or <- this -->", "What <!? Or <- this -->"),
    ],
)
def test_tags_are_not_said(text: str, said: str) -> None:
    assert " ".join(split_text(text)) == said


@pytest.mark.parametrize("text", ["word " * 2000, "x" * 10_000, "one, " * 2000, "日" * 500])
def test_long_sentences_are_cut_and_nothing_is_lost(text: str) -> None:
    found = split_text(text)
    assert len(found[0]) <= 100, "the listener waits for the first one"
    assert max(map(len, found)) <= LONGEST_PIECE
    assert "".join("".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no letter"),
        (" \n\x07", "no letter"),
        ("\U0001f600 ... !", "no letter"),
        ("a" * (LONGEST_TEXT + 1), "at most 20000"),
    ],
)
def test_a_text_that_cannot_be_said_is_refused(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        split_text(text)


class Letters:
    """A voice that says ASCII letters, 10 ms each."""

    name = "letters"

    def synthesise(self, text: str, speed: float) -> SpokenText:
        if not text.isascii():
            raise InputError("letters says ASCII letters only")
        return SpokenText(np.full(round(160 * len(text) / speed), 0.1, np.float32), 16_000)


def test_sentences_are_made_one_by_one_and_unsayable_ones_left_out() -> None:
    made = speak_text(Letters(), "One two. Zwölf. Three.", 2.0)
    first, left = next(made)
    assert (len(first.samples), left) == (640, len("Zwölf.") + len("Three."))
    third, left = next(made)
    assert (len(third.samples), left) == (480, 0)
    with pytest.raises(InputError, match=r"not all of the text can be said: .*ASCII letters only"):
        next(made)
    with pytest.raises(InputError, match="ASCII letters only"):
        list(speak_text(Letters(), "Zwölf.", 1.0))


@pytest.mark.parametrize(
    ("samples", "rate", "why"),
    [
        (np.full(9, np.nan, np.float32), 16_000, "NaN"),
        (np.zeros(9, np.float32), 10, "sample_rate is 10"),
        (np.zeros((9, 2), np.float32), 0, "sample_rate is 0"),
        (None, 16_000, "failed with AttributeError"),
    ],
)
def test_a_voice_that_makes_no_sound_is_named(samples: Any, rate: int, why: str) -> None:
    voice = Letters()
    made = SpokenText(samples, rate)
    voice.synthesise = lambda text, speed: made  # type: ignore[method-assign]
    with pytest.raises(VoiceError, match=f"voice letters .*{why}"):
        list(speak_text(voice, "one"))


@pytest.mark.parametrize("speed", [0.49, 2.01, float("nan"), float("inf"), -1.0])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(InputError, match=r"speed is .*: it must be from 0\.5 to 2"):
        list(speak_text(Letters(), "one", speed))


@pytest.mark.parametrize("name", ["", "nobody", "os:system", "builtins:exec", ":", "\ud800"])
def test_an_unknown_engine_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="use one of espeak, hibari"):
        open_voice(name)


def test_a_package_adds_a_voice_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    good = EntryPoint("mine", f"{__name__}:made_voice", "face_perception_voices")
    bad = EntryPoint("broken", "no_such_package:voice", "face_perception_voices")
    other = EntryPoint("other", "builtins:str", "face_perception_voices")
    monkeypatch.setattr(opening, "entry_points", lambda group: (good, bad, other))
    assert open_voice("mine:low").name == "letters low"
    with pytest.raises(InputError, match=r"broken .*no_such_package.*install its package again"):
        open_voice("broken")
    with pytest.raises(InputError, match=r"other .* no attribute 'name'"):
        open_voice("other")


def made_voice(name: str) -> Letters:
    voice = Letters()
    voice.name = f"letters {name}"
    return voice


def espeak(folder: Path, script: str) -> None:
    program = folder / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_espeak_gets_text_and_speed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hello = paths.resource("resources/speech/hello.wav")
    espeak(tmp_path, f'echo "$@" > {tmp_path}/args; cat > {tmp_path}/text; cp {hello} "$6"')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said = open_voice("espeak:de+f3").synthesise("-v grüß\udcff".replace("\udcff", ""), 2.0)
    assert (tmp_path / "args").read_text().startswith("-v de+f3 -s 350 -w ")
    assert (tmp_path / "text").read_text() == "-v grüß"
    open_voice("espeak").synthesise("[[h@l'oU]]", 1.0)
    assert (tmp_path / "text").read_text() == "[ [h@l'oU]]", "a text, no phonemes"
    assert said.duration > 1
    assert said.phones == ()
    assert np.abs(said.samples).max() <= 1
    espeak(tmp_path, "echo no voice of that name >&2; exit 1")
    with pytest.raises(MissingDependencyError, match="espeak-ng failed: no voice of that name"):
        open_voice("espeak:xx").synthesise("hello", 1.0)


@pytest.mark.parametrize("name", ["espeak:../../etc/passwd", "espeak:-x", "espeak:a b"])
def test_espeak_reads_no_files(name: str) -> None:
    with pytest.raises(InputError, match="has no voice"):
        open_voice(name)


def test_text_without_espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt install espeak-ng"):
        spoken("hello", "espeak:en")


def test_without_hibari(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_perception.speech.voices.hibari_voice._assets", missing_package)
    with pytest.raises(MissingDependencyError, match=r"pip install hibari-tts==0\.2\.1"):
        open_voice("hibari")


def missing_package() -> Path:
    from face_perception.optional_modules import extra
    from face_perception.speech.voices.hibari_voice import install_command

    with extra("the voice hibari", install_command()):
        raise ImportError(name="hibari")


class TestHibari:
    """With the package hibari-tts."""

    @pytest.fixture(scope="class", autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("hibari")

    def test_it_speaks_and_knows_the_times(self) -> None:
        said = open_voice("hibari").synthesise("Bob moved the map.", 1.0)
        assert said.rate == 24_000
        assert 0.8 < said.duration < 2
        assert 0.1 < np.abs(said.samples).max() <= 1
        assert [word.text for word in said.words] == ["Bob", "moved", "the", "map"]
        names = [phone.name for phone in said.phones]
        assert "".join(names) == "bɑbmuvdðəmæp"
        edges = [(phone.start, phone.end) for phone in said.phones]
        assert edges[0][0] == 0
        assert edges[-1][1] == pytest.approx(said.duration, abs=0.3)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(edges)), "no gaps"
        # The vowel of "map" is louder than the closure of its p.
        loud = {phone.name: level(said, phone.start, phone.end) for phone in said.phones}
        assert loud["æ"] > 5 * loud["p"]
        assert said.samples.tobytes() == (
            open_voice("hibari:heart").synthesise("Bob moved the map.", 1.0).samples.tobytes()
        ), "the same text gives the same sound"

    def test_speed_scales_the_duration(self) -> None:
        voice = open_voice("hibari")
        slow, fast = (voice.synthesise("Hello there.", s).duration for s in (0.5, 2.0))
        assert 2.5 < slow / fast < 4.5

    @pytest.mark.parametrize(
        "text",
        ["$9.99 at 7:30 pm", "http://a.b/c?d=e&f", "[x](/\x01/)", "ß straße", "x" * 200, "7" * 100],
    )
    def test_odd_text_is_said(self, text: str) -> None:
        said = list(speak_text(open_voice("hibari"), text))
        assert said
        assert all(np.isfinite(one.samples).all() for one, _ in said)

    def test_another_language_or_voice_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"hibari speaks English.*espeak:de"):
            open_voice("hibari").synthesise("日本語", 1.0)
        with pytest.raises(InputError, match="use hibari:heart"):
            open_voice("hibari:emma")

    def test_another_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from face_perception.speech.voices import hibari_voice

        hibari_voice._network.cache_clear()
        monkeypatch.setattr(Path, "read_bytes", lambda path: b"other")
        with pytest.raises(MissingDependencyError, match=r"hibari-tts==0\.2\.1 --force-reinstall"):
            open_voice("hibari")

    def test_the_demo_speaks_without_espeak(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        recording, (first, second) = spoken("Hello. I am here.", "hibari:heart")
        assert 0 < second[-1].end - first[-1].end < recording.duration
        assert recording.samples.dtype == np.int16
        assert recording.samples.shape[1] == 1
        assert recording.duration > 1


def level(said: SpokenText, start: float, end: float) -> float:
    part = said.samples[round(start * said.rate) : round(end * said.rate)]
    return float(np.sqrt(np.mean(part**2)))


def test_what_was_said_is_known_when_an_utterance_is_interrupted() -> None:
    words = tuple(TimedWord(word, k, k + 0.9) for k, word in enumerate(("one", "two", "three")))
    utterance = Utterance()
    assert utterance.said_at(5.0) == ""
    utterance.append(SpokenText(np.zeros(48_000, np.float32), 16_000, (), words), 0)
    utterance.end()
    for now in np.arange(5.0, 7.5, 0.02):
        utterance.take(now)
    assert utterance.said_at(7.5) == "one two"
