"""Tests reading films of many formats, made here: rotation, pixel shape, stamps, and damage."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_odd_pictures import GRAY, RGB, RGBA, STORED, bits_of, near

from face_perception.errors import InputError, MissingDependencyError
from face_perception.media import FrameReader, FrameWriter, play_clip, read_picture
from face_perception.media.ffmpeg_log import errors_of_ffmpeg

av = pytest.importorskip("av")

MATRICES = {  # EXIF's orientation -> a, b, c, d of the display matrix of the same rotation
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def film(
    path: Path,
    stamps: Sequence[float] = tuple(k / 25 for k in range(10)),
    *,
    codec: str = "mpeg4",
    container: str | None = None,
    pixels: np.ndarray = RGB,
    pixel_format: str = "yuv420p",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    rate: int | Fraction = 25,
    unit: Fraction = Fraction(1, 30_000),
    sound: bool = False,
    title: str = "",
) -> Path:
    """Writes a film whose k-th frame is shown at ``stamps[k]``; it gets brighter at the left."""
    kinds = {1: "gray", 3: "rgb24", 4: "rgba"}
    kind = "gray16le" if pixels.dtype == np.uint16 else kinds[pixels[0, 0].size]
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = pixel_format
        stream.options = codec_options or {}
        if title:
            stream.metadata["title"] = title
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.codec_context.time_base = unit
        if codec not in ("rawvideo", "ffv1", "qtrle"):
            stream.bit_rate = 4_000_000
        tone = out.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for number, stamp in enumerate(stamps):
            shown = pixels.copy()
            shown[:, :4] = np.minimum(shown[:, :4].astype(int) + 4 * number, shown.max())
            frame = av.VideoFrame.from_ndarray(shown, format=kind)
            frame.time_base, frame.pts = unit, round(stamp / unit)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if tone is not None:
            # A click at each whole second.
            samples = np.zeros((1, int(48_000 * (stamps[-1] + 0.1))), np.int16)
            for second in range(int(stamps[-1]) + 1):
                samples[:, second * 48_000 : second * 48_000 + 480] = 20_000
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            heard.sample_rate, heard.time_base, heard.pts = 48_000, Fraction(1, 48_000), 0
            out.mux(tone.encode(heard))
            out.mux(tone.encode(None))
    return path


def patch_matrix(path: Path, abcd: tuple[int, int, int, int]) -> None:
    a, b, c, d = (value << 16 for value in abcd)
    data = path.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + matrix + data[at + 36 :])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_films_are_turned(orientation: int, suffix: str, tmp_path: Path) -> None:
    stored = np.ascontiguousarray(STORED[orientation](RGB))
    path = film(tmp_path / f"a{suffix}", pixels=stored)
    patch_matrix(path, MATRICES[orientation])
    frames = list(FrameReader(path))
    assert len(frames) == 10
    assert near(frames[0].image, RGB)


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [((2, 1), (32, 96)), ((1, 2), (64, 48)), ((16, 15), (32, 51)), ((1, 1), (32, 48))],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixels_that_are_not_square(
    aspect: tuple[int, int], shape: tuple[int, int], suffix: str, tmp_path: Path
) -> None:
    path = film(tmp_path / f"a{suffix}", aspect=Fraction(*aspect))
    assert next(iter(FrameReader(path))).image.shape[:2] == shape


STEADY = tuple(k / 30 for k in range(30))
VARIABLE = (*STEADY, *(1 + k / 10 for k in range(10)))
MPEG2 = {"codec": "mpeg2video", "unit": Fraction(1, 30), "rate": 30}
WEBM = {"codec": "libvpx", "unit": Fraction(1, 1000)}


@pytest.mark.parametrize(
    ("name", "stamps", "options", "count"),
    [
        ("steady.mp4", STEADY, {}, 30),
        ("variable.mp4", VARIABLE, {}, 40),
        ("later.mkv", tuple(3600 + t for t in STEADY), {}, 0),
        ("steady.avi", STEADY, {"unit": Fraction(1, 30), "rate": 30}, 30),
        ("steady.ts", STEADY, MPEG2, 0),
        # As MediaRecorder writes it: no rate and no duration, in milliseconds.
        ("live.webm", STEADY, {**WEBM, "rate": 1000, "options": {"live": "1"}}, 0),
        ("variable.webm", VARIABLE, {**WEBM, "rate": 1000}, 0),
    ],
)
def test_times_are_those_of_the_frames(
    name: str, stamps: Sequence[float], options: dict[str, Any], count: int, tmp_path: Path
) -> None:
    if options.get("codec") not in (None, *av.codecs_available):
        pytest.skip("PyAV has no such codec")
    clip = FrameReader(film(tmp_path / name, stamps, **options))
    frames = list(clip)
    first = stamps[0]
    assert [f.stamp for f in frames] == pytest.approx([t - first for t in stamps], abs=0.0015)
    assert clip.rate == pytest.approx(30, abs=0.1)
    assert (clip.count, clip.damage) == (count, ""), "whole files are not damaged"
    played = [due for _, due in play_clip(tmp_path / name, 5, loop=False, warn=pytest.fail)]
    assert played == [f.stamp for f in frames]


def test_avi_with_frames_out_of_order_keeps_their_times(tmp_path: Path) -> None:
    """AVI states when frames are decoded, not when they are shown."""
    if "libx264" not in av.codecs_available:
        pytest.skip("PyAV has no such codec")
    path = film(
        tmp_path / "a.avi",
        STEADY,
        codec="libx264",
        codec_options={"bf": "4", "b-adapt": "0"},
        unit=Fraction(1, 30),
        rate=30,
    )
    frames = list(FrameReader(path))
    assert [f.stamp for f in frames] == pytest.approx(STEADY, abs=0.001)
    brightness = [f.image[:, :4].mean() for f in frames]
    assert brightness == sorted(brightness), "film() makes each frame brighter"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_thumbnail_before_the_film_is_not_the_film(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as out:
        thumbnail, shown = (out.add_stream("mpeg4", rate=25) for _ in range(2))
        for stream, pixels in ((thumbnail, RGB[:16]), (shown, RGB)):
            stream.height, stream.width = pixels.shape[:2]
            stream.pix_fmt = "yuv420p"
        thumbnail.disposition = av.stream.Disposition(0)
        shown.disposition = av.stream.Disposition.default
        for stream, pixels, count in ((thumbnail, RGB[:16], 1), (shown, RGB, 10)):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    frames = list(FrameReader(path))
    assert len(frames) == 10
    assert near(frames[0].image, RGB)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("added", [b"hello world " * 9, b"\x7fELF" * 20, bytes(99)])
def test_data_after_the_end_is_not_a_part_that_is_missing(
    added: bytes, suffix: str, tmp_path: Path
) -> None:
    path = film(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes() + added)
    clip = FrameReader(path)
    assert (len(list(clip)), clip.damage) == (10, "")


def test_frames_are_freed_as_soon_as_they_are_converted(tmp_path: Path) -> None:
    """Frames that referred to themselves stayed in memory: a film of 10 kB took 353 MB, now 103."""
    path = film(tmp_path / "a.mp4")
    gc.collect()
    gc.disable()
    try:
        held = [
            sum(isinstance(value, av.VideoFrame) for value in gc.get_objects())
            for _ in FrameReader(path)
        ]
    finally:
        gc.enable()
    assert len(held) == 10
    assert max(held) <= 5, held


def test_a_film_whose_frames_have_unknown_data_is_read(tmp_path: Path) -> None:
    """FFmpeg knows more kinds of data than PyAV: the tags of TIFF, for example."""
    path = film(tmp_path / "a.mov", codec="tiff", pixel_format="rgb24")
    assert len(list(FrameReader(path))) == 10


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
def test_an_annotated_film_keeps_time_and_sound(suffix: str, tmp_path: Path) -> None:
    stamps = (*STEADY, *(1 + k / 10 for k in range(12)))
    clip = FrameReader(film(tmp_path / "a.mp4", stamps, sound=True))
    drawn = tmp_path / f"drawn{suffix}"
    with FrameWriter(drawn, clip) as writer:
        for frame in clip:
            # Bright from one second on.
            level = 250 if frame.stamp >= 0.999 else 5
            writer.write(np.full_like(frame.image, level), frame.stamp)
    again = list(FrameReader(drawn))
    assert [f.stamp for f in again] == pytest.approx(
        [f.stamp for f in FrameReader(tmp_path / "a.mp4")], abs=0.018
    )
    bright = next(f.stamp for f in again if f.image.mean() > 128)
    with av.open(str(drawn)) as opened:
        pieces = [(f.time, f) for f in opened.decode(audio=0)]
        sound = np.concatenate([np.asarray(f.to_ndarray(), float).ravel() for _, f in pieces])
    loud = np.flatnonzero(np.abs(sound) > 0.3 * np.abs(sound).max()) / 48_000 + pieces[0][0]
    assert bright == pytest.approx(1, abs=0.04)
    assert loud[loud > 0.5][0] == pytest.approx(1, abs=0.04), "AAC's frames are 21 ms"
    assert len(sound) / 48_000 == pytest.approx(2.13, abs=0.1)


def test_an_animated_picture_becomes_a_film(tmp_path: Path) -> None:
    from test_odd_pictures import MOVING

    MOVING[0].save(tmp_path / "a.gif", save_all=True, append_images=MOVING[1:], duration=200)
    clip = FrameReader(tmp_path / "a.gif")
    with FrameWriter(tmp_path / "a.mp4", clip) as writer:
        for frame in clip:
            writer.write(frame.image, frame.stamp)
    assert [f.stamp for f in FrameReader(tmp_path / "a.mp4")] == pytest.approx([0, 0.2, 0.4, 0.6])


NAMES = ("2024-11-14T22:57:44.mp4", "a%03d.mp4", "a b.mp4", "äöü.mp4", "-a.mp4", "http:.mp4")


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.mp4"), "new\nline.mp4"])
def test_any_name_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "plain.mp4", sound=True).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    clip = FrameReader(name)
    with FrameWriter(f"drawn {name}", clip) as writer:
        for frame in clip:
            writer.write(frame.image, frame.stamp)
    assert len(list(FrameReader(f"drawn {name}"))) == 10


def test_the_ending_does_not_matter(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.avi", "a"):
        film(tmp_path / "a.mp4").rename(tmp_path / name)
        assert len(list(FrameReader(tmp_path / name))) == 10


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_gray_words_of_sixteen_bits(bits: int, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", codec="ffv1", pixels=bits_of(bits), pixel_format="gray16le")
    assert near(next(iter(FrameReader(path))).image, GRAY, 2)


def test_what_is_transparent_is_not_there(tmp_path: Path) -> None:
    hidden = RGBA.copy()
    hidden[:, 24:, 3] = 0
    path = film(tmp_path / "a.mov", codec="qtrle", pixels=hidden, pixel_format="argb")
    image = next(iter(FrameReader(path))).image
    assert (np.abs(image[:, 28:].astype(int) - 128) < 4).all()
    assert near(image[:, 8:20], RGB[:, 8:20], 2)


@pytest.mark.parametrize(("codec", "decoder"), [("libvpx", "vp8"), ("libvpx-vp9", "vp9")])
def test_what_is_transparent_in_webm_is_not_there(codec: str, decoder: str, tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip("PyAV has no such codec")
    hidden = RGBA.copy()
    hidden[:, 24:, 3] = 0
    path = film(
        tmp_path / "a.webm",
        codec=codec,
        pixels=hidden,
        pixel_format="yuva420p",
        codec_options={"auto-alt-ref": "0"},  # libvpx refuses it with transparency
    )
    with av.open(str(path)) as made:
        assert made.streams.video[0].codec_context.name == decoder
    frames = list(FrameReader(path))
    assert len(frames) == 10
    assert all((np.abs(f.image[:, 28:].astype(int) - 128) < 6).all() for f in frames)


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(share * len(data))]


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("index_last.mp4", cut(0.6), "is cut off: it lacks its index, .* was not finished"),
        ("index_last.mov", cut(0.6), "is cut off: it lacks its index"),
        ("any.mkv", cut(0.01), "cannot be read|can be read|is cut off"),
        ("any.avi", cut(0.02), "can be read|is cut off"),
        ("any.mp4", lambda data: data[:8] + bytes(len(data) - 8), "cut off|can be read"),
    ],
)
def test_films_without_a_frame_say_why(
    name: str, damage: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    path = film(tmp_path / name, STEADY)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=reason) as error:
        FrameReader(path)
    assert name in str(error.value)


MJPEG = {"codec": "mjpeg", "pixel_format": "yuvj420p", "unit": Fraction(1, 30), "rate": 30}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"options": {"movflags": "faststart"}}),
        ("a.mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("a.mkv", {}),
        (
            "a.avi",
            {"codec": "mjpeg", "pixel_format": "yuvj420p", "unit": Fraction(1, 30), "rate": 30},
        ),
    ],
)
def test_cut_films_are_read_as_far_as_they_go(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = film(tmp_path / name, STEADY, pixels=noise, **options)
    assert not FrameReader(path).damage
    path.write_bytes(cut(0.7)(path.read_bytes()))
    clip = FrameReader(path)
    frames = list(clip)
    assert 5 < len(frames) < 30
    assert "cut off" in clip.damage


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = film(tmp_path / "a.avi", STEADY, pixels=noise, **MJPEG)
    data = path.read_bytes()
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xd8\xff", at)]
    middle = (starts[10] + starts[11]) // 2
    end = starts[11] - 8  # where the header of the next frame begins
    path.write_bytes(data[:middle] + bytes(end - middle) + data[end:])
    clip = FrameReader(path)
    frames = list(clip)
    assert len(frames) == 29
    assert clip.damage == "1 damaged frame(s) were left out"
    assert frames[10].stamp == pytest.approx(11 / 30, abs=0.001), "the others keep their times"


@pytest.mark.parametrize("name", ["a.h264", "a.ts"])
def test_a_frame_that_lacks_its_end_is_damaged(name: str, tmp_path: Path) -> None:
    """FFmpeg fills the frame with gray. With several threads, it does not say so in time."""
    if "libx264" not in av.codecs_available:
        pytest.skip("PyAV has no such codec")
    noise = np.random.default_rng(0).integers(0, 255, (320, 320, 3), np.uint8)
    path = film(
        tmp_path / name,
        [0.0],
        codec="libx264",
        pixels=noise,
        container={"a.h264": "h264", "a.ts": "mpegts"}[name],
    )
    assert len(list(FrameReader(path))) == 1
    path.write_bytes(cut(0.6)(path.read_bytes()))
    with pytest.raises(InputError, match="no frame that can be decoded"):
        FrameReader(path)


def numbered(number: int) -> np.ndarray:
    """Returns an image whose lower part has the bits of a number, above noise that moves."""
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    image = np.roll(noise, 3 * number, axis=1)
    for bit in range(8):
        image[96:, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    return image


def number_of(image: np.ndarray) -> int:
    return sum(int(image[104:120, 16 * bit + 4 : 16 * bit + 12].mean() > 128) << bit
               for bit in range(8))  # fmt: skip


def numbered_film(path: Path, codec: str, container: str, count: int = 60) -> Path:
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=30)
        stream.width = stream.height = 128
        stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", 12, 4_000_000
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


STREAMS = {
    "h264.ts": ("libx264", "mpegts"),
    "hevc.ts": ("libx265", "mpegts"),
    "mpeg2.ts": ("mpeg2video", "mpegts"),
    "mpeg2.mpg": ("mpeg2video", "mpeg"),
    "h264.mkv": ("libx264", "matroska"),
    "mpeg4.flv": ("flv", "flv"),
    "mpeg4.nut": ("mpeg4", "nut"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_frames_that_are_lost_are_counted_and_those_that_refer_to_them_left_out(
    name: str, tmp_path: Path
) -> None:
    codec, container = STREAMS[name]
    if codec not in av.codecs_available:
        pytest.skip("PyAV has no such codec")
    path = numbered_film(tmp_path / name, codec, container)
    good = path.read_bytes()
    with FrameReader(path) as clip:
        assert [number_of(frame.image) for frame in clip] == list(range(60))
    assert clip.damage == ""
    for share in (0.25, 0.4, 0.55):
        at = int(len(good) * share) // 188 * 188
        path.write_bytes(good[:at] + bytes(18_800) + good[at + 18_800 :])
        with FrameReader(path) as clip:
            frames = list(clip)
        assert 20 < len(frames) < 60
        stated = sum(map(int, re.findall(r"(\d+) (?:damaged )?frame", clip.damage)))
        assert abs(stated - (60 - len(frames))) <= 2, clip.damage
        off = [
            np.abs(numbered(round(frame.stamp * 30)).astype(int) - frame.image).mean()
            for frame in frames
        ]
        # What is left of a packet of MPEG-TS may be appended to another frame.
        assert np.sum(np.array(off) > 40) <= (name == "hevc.ts"), "a frame that is not damaged"


@pytest.mark.parametrize("kind", ["every fifth is late", "slows down"])
def test_one_damaged_frame_of_a_film_of_varying_rate_costs_few(kind: str, tmp_path: Path) -> None:
    late = [k % 5 == 4 if kind == "every fifth is late" else k > 150 for k in range(300)]
    stamps = np.cumsum([0.1 if slow else 1 / 30 for slow in late])
    path = film(tmp_path / "a.mkv", list(stamps), codec="libx264", codec_options={"g": "30"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    at = data.index(bytes(packets[25]))
    path.write_bytes(data[: at + 4] + bytes(packets[25].size - 4) + data[at + packets[25].size :])
    with FrameReader(path) as clip:
        count = len(list(clip))
    assert "damaged" in clip.damage
    assert count > 230


KEY = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "11" * 16,
    "encryption_kid": "22" * 16,
}


@pytest.fixture
def harmed_film(tmp_path: Path) -> Path:
    """A film whose container has damage that FFmpeg only logs."""
    path = film(tmp_path / "film.mkv", [k / 25 for k in range(100)])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = b"\xff" * 300
    path.write_bytes(data)
    return path


@pytest.fixture
def level() -> Iterator[None]:
    yield
    av.logging.set_level(None)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("name", [None, "PANIC", "ERROR", "VERBOSE"])
def test_the_log_of_ffmpeg_stays_as_the_program_set_it(
    harmed_film: Path, name: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What is said of the film does not depend on the level, and the program gets its messages."""
    with FrameReader(harmed_film) as clip:
        expected = len(list(clip)), clip.damage
    level = name and getattr(av.logging, name)
    caplog.set_level("DEBUG", "libav")
    for capture in (contextlib.nullcontext([]), av.logging.Capture()):
        caplog.clear()
        av.logging.set_level(level)
        with capture as captured, FrameReader(harmed_film) as clip:
            assert (len(list(clip)), clip.damage) == expected
        assert av.logging.get_level() == level
        logged = [record.message for record in caplog.records] + [log[2] for log in captured]
        assert any("Unknown-sized" in text for text in logged) == (name in ("ERROR", "VERBOSE"))


@pytest.mark.usefixtures("level")
def test_the_log_is_restored_when_the_last_thread_has_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "libav")
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        errors = first.enter_context(errors_of_ffmpeg(av))
        av.logging.log(av.logging.ERROR, "test", "of the first thread")

        def read() -> None:
            second.enter_context(errors_of_ffmpeg(av))

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        other = threading.Thread(
            target=av.logging.log, args=(av.logging.ERROR, "test", "of others")
        )
        other.start()
        other.join()
        first.close()
        assert [text for *_, text in errors] == ["of the first thread"]
        for _ in range(2):  # PyAV leaves repeated messages out, which would be another film's
            with errors_of_ffmpeg(av) as errors:
                av.logging.log(av.logging.ERROR, "test", "again")
            assert len(errors) == 1
    assert av.logging.get_level() is None
    assert not caplog.records, "as if nobody had asked"


@pytest.mark.parametrize("fragments", ["faststart", "frag_keyframe+empty_moov"])
def test_an_encrypted_film_is_named_as_such(fragments: str, tmp_path: Path) -> None:
    path = film(tmp_path / "shop.mp4", STEADY, options={**KEY, "movflags": fragments})
    with pytest.raises(InputError, match=r"shop.mp4 is encrypted .*without protection"):
        FrameReader(path)


def test_a_film_of_apples_shop_is_named_as_encrypted(tmp_path: Path) -> None:
    path = film(tmp_path / "shop.m4v", STEADY, container="mp4")
    path.write_bytes(path.read_bytes().replace(b"mp4v", b"drmi"))
    with pytest.raises(InputError, match=r"shop.m4v is encrypted"):
        FrameReader(path)


def test_an_encrypted_webm_is_named_as_such(tmp_path: Path) -> None:
    def element(name: str, content: bytes) -> bytes:
        return bytes.fromhex(name) + bytes([0x80 + len(content)]) + content

    # The element with the title of the track becomes one that says how the track is encrypted.
    encryption = element("5035", element("47E1", b"\5") + element("47E2", bytes(16)))
    encodings = element("6240", element("5033", b"\1") + encryption)
    title = "x" * (len(encodings) + 10)
    path = film(tmp_path / "shop.mkv", STEADY, title=title)
    padded = encodings + element("EC", bytes(8))
    data = path.read_bytes()
    assert data.count(element("536E", title.encode())) == 1
    path.write_bytes(data.replace(element("536E", title.encode()), element("6D80", padded)))
    with pytest.raises(InputError, match=r"shop.mkv is encrypted"):
        FrameReader(path)


def test_pictures_in_a_row_are_a_film(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mjpeg", container="mjpeg", **MJPEG)
    clip = FrameReader(path)
    assert (clip.still, len(list(clip)), clip.damage) == (False, 10, "")
    with pytest.raises(InputError, match=r"a\.mjpeg is a film .*, not a still"):
        read_picture(path)


def test_large_pictures_in_a_row_are_a_film(tmp_path: Path) -> None:
    """FFmpeg sees only the first picture when it guesses what the file is."""
    data = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    Image.fromarray(noise).save(data, "JPEG", quality=95)
    (tmp_path / "a.mjpeg").write_bytes(data.getvalue() * 3)
    clip = FrameReader(tmp_path / "a.mjpeg")
    assert (clip.still, len(list(clip)), clip.damage) == (False, 3, "")


@pytest.mark.parametrize("view", ["smaller", "cut off"])
def test_what_follows_a_jpeg_is_not_always_a_film(view: str, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mjpeg", [0.0], container="mjpeg", **MJPEG)
    smaller = film(tmp_path / "b.mjpeg", [0.0], container="mjpeg", pixels=RGB[:16, :32], **MJPEG)
    data = path.read_bytes()
    path.write_bytes(data + (smaller.read_bytes() if view == "smaller" else data[:20]))
    assert FrameReader(path).still


@pytest.mark.parametrize(
    "start",
    [b"RIFF\x24\0\0\0WAVEfmt ", b"ID3\x04", b"\xff\xfb\x90\x64", b"fLaC", b"FORM\0\0\0\0AIFF"],
)
def test_a_file_of_sound_is_named_as_such(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(start.ljust(2000, b"\0"))
    with pytest.raises(InputError, match=r"a\.wav has no film in it, only sound: give a film"):
        FrameReader(tmp_path / "a.wav")


def test_times_that_step_back_are_said(tmp_path: Path) -> None:
    """A damaged time of a cluster: nothing else is damaged, and FFmpeg says nothing."""
    path = film(tmp_path / "film.mkv", [k / 5 for k in range(60)])
    data = bytearray(path.read_bytes())
    clusters = [found.start() for found in re.finditer(rb"\x1f\x43\xb6\x75", data)]
    at = data.index(b"\xe7\x82", clusters[1])  # the time, in two bytes
    data[at + 2] = 0x7F
    path.write_bytes(data)
    with FrameReader(path) as clip:
        assert len(list(clip)) == 60
    assert clip.damage == "its times step back 1 time(s), and are not known from there on"


def test_sound_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        tone = out.add_stream("aac", rate=48_000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), "s16", "mono")
        heard.sample_rate = 48_000
        out.mux(tone.encode(heard))
        out.mux(tone.encode(None))
    with pytest.raises(InputError, match=r"a\.m4a has no film in it, only sound"):
        FrameReader(path)


@pytest.mark.parametrize(
    ("size", "pixel_format", "read"),
    [
        ((3840, 2160), "yuv420p", False),
        ((2560, 1600), "yuv420p", False),
        ((2560, 1440), "yuv420p", True),
        ((1920, 1080), "yuv444p", True),
        ((1920, 1080), "yuv444p10le", False),
        ((1280, 720), "yuv444p10le", True),
    ],
)
def test_a_small_file_has_no_frames_that_need_much_memory(
    size: tuple[int, int], pixel_format: str, read: bool, tmp_path: Path
) -> None:
    """A decoder may hold 36 frames: without a limit, 16 kB of H.264 took 855 MB."""
    if "libx264" not in av.codecs_available:
        pytest.skip("PyAV has no such codec")
    width, height = size
    path = film(
        tmp_path / "a.mkv",
        (0, 1),
        codec="libx264",
        codec_options={"preset": "ultrafast"},
        pixels=np.zeros((height, width, 3), np.uint8),
        pixel_format=pixel_format,
    )
    if read:
        assert len(list(FrameReader(path))) == 2
        return
    with pytest.raises(InputError, match=rf"a\.mkv has frames of {width}x{height} in \d+ bytes"):
        FrameReader(path)


@pytest.mark.parametrize("outer", ["meta", "moov"])
def test_a_list_of_more_pictures_than_bytes_is_refused(outer: str, tmp_path: Path) -> None:
    """FFmpeg reserves memory for each picture that HEIF states: 1 GB here."""

    def box(kind: str, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind.encode() + content

    pictures = box("meta", bytes(4) + box("iloc", struct.pack(">I2xI", 2 << 24, 1 << 27)))
    path = tmp_path / "a.mp4"
    content = pictures if outer == "meta" else box(outer, pictures)
    path.write_bytes(box("gtyp", b"avif") + content + box("mdat", bytes(99)))
    with pytest.raises(InputError, match=r"a\.mp4 .*\(its list of pictures states 134217728"):
        FrameReader(path)


def test_without_pyav_films_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"a\.mp4 is read with PyAV.*pip install av"):
        FrameReader(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_any_damage_is_one_error_or_none(name: str, tmp_path: Path) -> None:
    options = MPEG2 if name == "a.ts" else {}
    whole = film(tmp_path / name, STEADY[:8], **options).read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(20):
        data = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        for at in rng.integers(0, len(data), int(rng.integers(0, 6))):
            data[at] = rng.integers(256)
        (tmp_path / name).write_bytes(bytes(data))
        try:
            with FrameReader(tmp_path / name) as clip:
                assert all(frame.image.dtype == np.uint8 for frame in clip)
        except InputError as error:
            assert name in str(error)  # noqa: PT017 (most of these files are read)


def test_a_frame_that_is_shown_for_long_repeats(tmp_path: Path) -> None:
    film(tmp_path / "slides.mkv", [0, 2.5, 5])
    played = list(play_clip(tmp_path / "slides.mkv", 5, loop=False, warn=pytest.fail))
    assert [due for _, due in played] == pytest.approx([0, 1, 2, 2.5, 3.5, 4.5, 5, 6, 7], abs=0.001)
    first, *again = (image for image, _ in played[:3])
    assert all(image is first for image in again)


def test_a_gap_in_the_stamps_does_not_stop_the_camera(tmp_path: Path) -> None:
    """The clock of the recorder was set: the frames after it are an hour later."""
    stamps = [0, 0.04, 0.08, 3600, 3600.04]
    film(tmp_path / "gap.mkv", stamps, unit=Fraction(1, 1000))
    assert [f.stamp for f in FrameReader(tmp_path / "gap.mkv")] == pytest.approx(stamps)
    said: list[str] = []
    dues = [due for _, due in play_clip(tmp_path / "gap.mkv", 5, loop=False, warn=said.append)]
    assert dues == pytest.approx([0.04 * k for k in range(5)], abs=0.001)
    assert len(said) == 1
    assert "gap.mkv: a step of 3600 s between two frames is left out" in said[0]


def test_a_loop_reads_the_file_that_is_there_then(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", STEADY[:5])
    images = play_clip(path, 5, loop=True, warn=pytest.fail)
    dues = [next(images)[1] for _ in range(5)]
    film(path, STEADY[:5], pixels=RGB[:16])
    image, due = next(images)
    assert image.shape == (16, 48, 3), "it was replaced"
    assert [*dues, due] == pytest.approx([k / 30 for k in range(6)], abs=0.001)
    for _ in range(4):
        next(images)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        next(images)
