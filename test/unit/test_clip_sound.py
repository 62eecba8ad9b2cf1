"""Tests that `run` hears the sound of a film, in step with its images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from speech_clip import RECORDED, read

from face_perception.attention import WhoSpeaks
from face_perception.commands import clip_sound
from face_perception.commands.clip_sound import ClipSound
from face_perception.media import FrameReader, write_mp4
from face_perception.speech import MOUTH_RATE

pytest.importorskip("av")
SECONDS, SILENCE = 3.0, 1.0


class Recorder(WhoSpeaks):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.voices: list[tuple[float, float]] = []

    def hear_voice(self, stamp: float, probability: float) -> None:
        self.voices.append((stamp, probability))


def film(path: Path, sound: np.ndarray) -> Path:
    """Writes a film of black pictures, 10 a second, with a sound [S] at 16 kHz, int16."""
    black = np.zeros((64, 64, 3), np.uint8)
    pictures = ((k / 10, black) for k in range(round(10 * SECONDS)))
    write_mp4(path, pictures, [(0.0, sound)] if len(sound) else [], MOUTH_RATE)
    return path


def test_the_voice_comes_when_it_is_heard_in_the_film(tmp_path: Path) -> None:
    speech = (read(RECORDED)[: round((SECONDS - SILENCE) * MOUTH_RATE)] * 32767).astype(np.int16)
    sound = np.concatenate([np.zeros(round(SILENCE * MOUTH_RATE), np.int16), speech])
    who = Recorder()
    with FrameReader(film(tmp_path / "talk.mp4", sound)) as clip:
        heard = ClipSound(clip, who)
        heard.listen_until(1.0)
        assert 1.0 < who.voices[-1][0] < 1.3, "no farther than the image"
        for frame in clip:
            heard.listen_until(frame.stamp)
        heard.close()
    times, voice = np.array(who.voices).T
    assert voice[times < SILENCE - 0.1].max() < 0.3
    assert voice[(times > SILENCE + 0.5) & (times < SECONDS - 0.1)].mean() > 0.7


def test_a_film_without_sound_and_a_picture_are_silent(tmp_path: Path) -> None:
    who = Recorder()
    with FrameReader(film(tmp_path / "silent.mp4", np.zeros(0, np.int16))) as clip:
        heard = ClipSound(clip, who)
        heard.listen_until(2.0)
        heard.close()
    assert who.voices == []
    assert who.source == ""


def test_a_long_gap_in_the_sound_is_heard_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The silence that fills it comes in one piece, but nobody remembers so much sound."""

    class LateSound:
        rate, channels = MOUTH_RATE, 1

        def __init__(self, path: Path, begin: float) -> None:
            self.pieces = [np.zeros((8 * MOUTH_RATE, 1), np.int16)]

        def __iter__(self) -> Iterator[np.ndarray]:
            return iter(self.pieces)

        def close(self) -> None:
            pass

    monkeypatch.setattr(clip_sound, "FilmSound", LateSound)
    who = Recorder()
    with FrameReader(film(tmp_path / "late.mp4", np.zeros(0, np.int16))) as clip:
        heard = ClipSound(clip, who)
        heard.listen_until(1.0)
    assert 1.0 < who.voices[-1][0] < 1.3
