"""Tests films with sound: stamps of frames and samples, and the error without PyAV."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from face_perception.commands.avatar_demo import spoken
from face_perception.errors import MissingDependencyError
from face_perception.media import FilmError, write_mp4


def test_a_film_has_its_frames_and_sound_at_their_stamps(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "film.mp4"
    # White from 1.0 s on, and a tone from 1.0 s on. The stamps are large, like those of a robot's
    # clock.
    epoch = 1.7e9
    frames = [
        (epoch + k / 30, np.full((65, 64, 3), 255 if k >= 30 else 0, np.uint8)) for k in range(60)
    ]
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)).astype(np.int16)
    # In two pieces, whose stamps are off by less than a millisecond.
    sound = [(epoch + 1.0, tone[:12_000]), (epoch + 1.2504, tone[12_000:])]
    assert write_mp4(path, frames, sound, 48_000) == 60
    with av.open(str(path)) as film:
        seen = [(f.time, f.to_ndarray(format="gray").mean()) for f in film.decode(video=0)]
    with av.open(str(path)) as film:
        heard = np.concatenate([f.to_ndarray().ravel() for f in film.decode(audio=0)])
    assert len(seen) == 60
    white = next(time for time, level in seen if level > 128)
    loud = np.flatnonzero(np.abs(heard) > 0.05)[0] / 48_000
    assert white == pytest.approx(1.0, abs=0.02)
    assert loud == pytest.approx(1.0, abs=0.03)  # a frame of AAC lasts 21 ms
    assert not list(tmp_path.glob(".film*"))


def test_no_frames_no_film(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(FilmError, match="no images"):
        write_mp4(tmp_path / "film.mp4", [], [], 48_000)
    assert not list(tmp_path.iterdir())


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match="pip install av"):
        write_mp4(tmp_path / "film.mp4", [], [], 48_000)


def test_text_without_espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt install espeak-ng"):
        spoken("hello", "en")
