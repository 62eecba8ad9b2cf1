"""Tests films with sound: stamps of frames and samples, and the error without PyAV."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_perception.errors import MissingDependencyError
from face_perception.files import write_atomically
from face_perception.media import FilmError, FrameReader, FrameWriter, write_mp4
from face_perception.results.columns import Column
from face_perception.results.table_files import write_table


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


@pytest.fixture
def _small_files() -> Iterator[None]:
    """Lets writing fail after 20 kB of a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)


def _annotate_with_noise(clip: Path, path: Path) -> None:
    with FrameReader(clip) as reader, FrameWriter(path, reader) as writer:
        for number in range(60):
            writer.write(NOISE, number / 30)


@pytest.mark.usefixtures("_small_files")
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.mov", "a.png"])
def test_a_full_disk_is_named_with_the_annotated_file(name: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = tmp_path / ("clip.png" if name == "a.png" else "clip.gif")
    black = Image.new("L", (320, 240))
    frames = [] if name == "a.png" else [Image.new("L", (320, 240), 9)]
    black.save(clip, save_all=True, append_images=frames)
    with pytest.raises((FilmError, OSError), match=rf"{name}.*File too large|File too l.*{name}"):
        _annotate_with_noise(clip, tmp_path / name)
    assert not (tmp_path / name).exists()
    assert not list(tmp_path.glob(".a.part*"))


@pytest.mark.usefixtures("_small_files")
def test_a_full_disk_is_named_with_the_table_and_the_file(tmp_path: Path) -> None:
    column = Column("x", int, "", "", lambda row: row)
    for name in ("a.csv", "a.parquet"):
        if name == "a.parquet":
            pytest.importorskip("pyarrow")
        rows = ([k] for k in np.random.default_rng(0).integers(0, 2**60, 30_000).tolist())
        with pytest.raises(OSError, match=rf"File too large: '.*{name}'"):
            write_table(tmp_path / name, [column], rows)
    with pytest.raises(OSError, match=r"File too large: '.*people\.json'"):
        write_atomically(tmp_path / "people.json", bytes(30_000))
    assert not list(tmp_path.iterdir())
