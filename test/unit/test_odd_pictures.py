"""Tests reading pictures of many formats, made here: rotation, bits, alpha, frames, and damage."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, features

from face_perception.avatar import PortraitError
from face_perception.avatar import read_picture as read_portrait
from face_perception.commands.sample_inputs import network_inputs
from face_perception.errors import InputError
from face_perception.inference import find_card
from face_perception.media import FrameReader, decode_picture, read_picture

Make = Callable[[Path], None]


def upright(width: int = 48, height: int = 32) -> np.ndarray:
    """Returns a smooth RGB picture that differs in each corner."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    return np.stack([40 + 200 * x, 40 + 200 * y, 220 - 180 * x * y], -1).astype(np.uint8)


RGB = upright()
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
RGBA = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])

# How a camera stores an upright picture under each value of the tag Orientation.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def near(got: np.ndarray, want: np.ndarray, most: float = 12) -> bool:
    if want.ndim == 2:
        want = np.dstack([want] * 3)
    assert got.shape == want.shape
    assert got.dtype == np.uint8
    return float(np.abs(got.astype(float) - want).mean()) < most


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def needs(kind: str) -> None:
    feature = {"AVIF": "avif", "WEBP": "webp"}.get(kind)
    if feature and not features.check(feature):
        pytest.skip(f"this Pillow has no {kind}")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "pixels"),
    [
        *(("JPEG", RGB), ("JPEG", GRAY), ("PNG", RGB), ("PNG", RGBA), ("PNG", GRAY)),
        *(("WEBP", RGB), ("WEBP", RGBA), ("TIFF", RGB), ("TIFF", GRAY), ("TIFF", RGBA)),
        *(("AVIF", RGB), ("AVIF", RGBA)),
    ],
)
def test_pictures_are_turned(
    kind: str, pixels: np.ndarray, orientation: int, tmp_path: Path
) -> None:
    needs(kind)
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](pixels)))
    if kind == "TIFF":
        data = encoded(image, kind, tiffinfo={274: orientation})
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(image, kind, exif=exif)
    path = tmp_path / "picture"
    path.write_bytes(data)
    want = pixels if pixels.ndim == 2 else pixels[..., :3]
    (frame,) = FrameReader(path)
    assert near(frame.image, want)
    assert near(read_portrait(path), want), "portraits have the same reader"


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_sixteen_bit_colours_are_turned(orientation: int, tmp_path: Path) -> None:
    deep = np.ascontiguousarray(STORED[orientation](RGB)[..., ::-1]).astype(np.uint16) << 8
    data = cv2.imencode(".png", deep)[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = exif.tobytes()[6:]
    chunk = b"eXIf" + body
    chunk = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path = tmp_path / "a.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    assert near(read_picture(path), RGB, 1)


def bits_of(bits: int, pixels: np.ndarray = GRAY) -> np.ndarray:
    """Returns 16-bit words of which the lower ``bits`` are used."""
    full = pixels.astype(np.uint32) * 257 >> (16 - bits)
    return full.astype(np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("pixels", [GRAY, RGB, RGBA], ids=["gray", "rgb", "rgba"])
def test_words_of_sixteen_bits(pixels: np.ndarray, bits: int, suffix: str, tmp_path: Path) -> None:
    deep = bits_of(bits, pixels)
    if pixels.ndim == 3:
        deep = deep[..., [2, 1, 0, 3][: pixels.shape[2]]]
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        deep[..., 3] = 65535
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), deep)
    want = pixels[..., :3] if pixels.ndim == 3 else pixels
    assert near(read_picture(tmp_path / f"a{suffix}"), want, 2)


@pytest.mark.parametrize("key", [0, 1, 65535])
def test_a_gray_value_of_sixteen_bits_may_be_transparent(key: int, tmp_path: Path) -> None:
    deep = np.maximum(bits_of(16, GRAY), 2)
    deep[deep == 65535] = 65534
    deep[:, 24:] = key
    data = encoded(Image.fromarray(deep), "PNG")
    chunk = b"tRNS" + struct.pack(">H", key)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    got = read_picture(tmp_path / "a.png")
    assert (got[:, 24:] == 128).all()
    assert near(got[:, :24], GRAY[:, :24], 2)


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_in_which_zero_is_white(bits: int, tmp_path: Path) -> None:
    most = (1 << bits) - 1
    values = most - (GRAY if bits == 8 else bits_of(16))
    data = encoded(Image.fromarray(values), "TIFF")
    black = struct.pack("<HHIHH", 262, 3, 1, 1, 0)  # PhotometricInterpretation
    assert black in data
    (tmp_path / "a.tiff").write_bytes(data.replace(black, black[:8] + b"\0\0\0\0"))
    assert near(read_picture(tmp_path / "a.tiff"), GRAY, 1)


@pytest.mark.parametrize(
    ("kind", "options"), [("TIFF", {"big_tiff": True}), ("JPEG2000", {"no_jp2": True})]
)
def test_rarer_headers_of_known_formats(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    data = encoded(Image.fromarray(RGB), kind, **options)
    if data.startswith((b"II*\0", b"\0\0\0\x0cjP")):
        pytest.skip("this Pillow does not write it")
    (tmp_path / "a").write_bytes(data)
    (frame,) = FrameReader(tmp_path / "a")
    assert near(frame.image, RGB)


def test_floating_point_pictures(tmp_path: Path) -> None:
    for name, values in (("one", GRAY / 255), ("full", GRAY.astype(float))):
        Image.fromarray(values.astype(np.float32)).save(tmp_path / f"{name}.tiff")
        assert near(read_picture(tmp_path / f"{name}.tiff"), GRAY, 1)


def depth_image() -> np.ndarray:
    """Returns a depth image in millimetres, with holes."""
    y, x = np.mgrid[0:48, 0:64]
    depth = (900 + 10 * x + 3 * y).astype(np.uint16)
    depth[10:14, 20:40] = 0
    return depth


@pytest.mark.parametrize("factor", [256, 257])
def test_black_in_a_picture_of_eight_bits_is_no_hole(tmp_path: Path, factor: int) -> None:
    """Programs save 8 bits as 16 by multiplying: there are zeros, and no values up to 255."""
    gray = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
    gray[:8] = 0
    Image.fromarray(gray.astype(np.uint16) * factor).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png")[..., 0], gray)


def test_depth_images_are_refused_by_name(tmp_path: Path) -> None:
    metres = (depth_image() / 1000).astype(np.float32)
    metres[0, 0] = np.nan
    Image.fromarray(depth_image()).save(tmp_path / "depth.png")
    Image.fromarray(metres).save(tmp_path / "depth.tiff")
    for name in ("depth.png", "depth.tiff"):
        with pytest.raises(InputError, match=rf"{name}.*depth image"):
            read_picture(tmp_path / name)


def half_hidden(mode: str) -> Image.Image:
    alpha = np.full(RGB.shape[:2], 255, np.uint8)
    alpha[:, 24:] = 0
    image = Image.fromarray(np.dstack([RGB, alpha]))
    if mode == "P":
        paletted = Image.fromarray(RGB).quantize(200)
        hidden = np.array(paletted)
        hidden[:, 24:] = 255
        out = Image.fromarray(hidden, "P")
        out.putpalette(bytes(paletted.getpalette() or ()).ljust(768, b"\0"))
        out.info["transparency"] = 255
        return out
    if mode == "key":
        keyed = RGB.copy()
        keyed[:, 24:] = (1, 2, 3)
        out = Image.fromarray(keyed)
        out.info["transparency"] = (1, 2, 3)
        return out
    return image.convert(mode)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "key"), ("GIF", "P")),
        *(("WEBP", "RGBA"), ("TIFF", "RGBA"), ("AVIF", "RGBA")),
    ],
)
def test_what_is_transparent_is_not_there(kind: str, mode: str, tmp_path: Path) -> None:
    needs(kind)
    image = half_hidden(mode)
    options = {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    path = tmp_path / "a"
    path.write_bytes(encoded(image, kind, **options))
    got = read_picture(path)
    assert (np.abs(got[:, 28:].astype(int) - 128) < 4).all()
    assert near(got[:, :20], GRAY[:, :20] if mode == "LA" else RGB[:, :20])


def test_a_fully_transparent_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([RGB, np.zeros_like(GRAY)])).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png.*fully transparent"):
        read_picture(tmp_path / "a.png")


MOVING = [Image.fromarray(np.roll(RGB, 8 * k, axis=1)) for k in range(4)]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animated_picture_is_a_film(kind: str, tmp_path: Path) -> None:
    needs(kind)
    path = tmp_path / "a"
    path.write_bytes(
        encoded(MOVING[0], kind, save_all=True, append_images=MOVING[1:], duration=200)
    )
    clip = FrameReader(path)
    frames = list(clip)
    assert (clip.still, clip.count, clip.rate) == (False, 4, pytest.approx(5))
    assert [frame.stamp for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6])
    for frame, image in zip(frames, MOVING, strict=True):
        assert near(frame.image, np.array(image))
    for read in (read_picture, read_portrait):
        with pytest.raises(InputError, match=r"a is animated \(4 frames\)"):
            read(path)


def test_the_default_image_of_an_apng_is_no_frame(tmp_path: Path) -> None:
    blank = Image.new("RGB", MOVING[0].size)
    path = tmp_path / "a.png"
    blank.save(path, save_all=True, default_image=True, append_images=MOVING, duration=100)
    frames = list(FrameReader(path))
    assert len(frames) == 4
    assert near(frames[0].image, np.array(MOVING[0]), 1)


def test_a_gif_without_times_plays_as_in_a_browser(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    MOVING[0].save(path, save_all=True, append_images=MOVING[1:])
    assert [f.stamp for f in FrameReader(path)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_pages_are_refused_but_not_smaller_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    MOVING[0].save(path, save_all=True, append_images=MOVING[1:])
    with pytest.raises(InputError, match=r"a\.tiff has 4 pages: save each page"):
        FrameReader(path)
    small = MOVING[0].resize((12, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    MOVING[0].save(path, save_all=True, append_images=[small])
    with Image.open(path) as image:
        image.seek(1)
        if image.tag_v2.get(254) != 1:
            pytest.skip("this Pillow writes no tags of further pages")
    (frame,) = FrameReader(path)
    assert near(frame.image, np.array(MOVING[0]), 1)


def test_a_phone_stereo_picture_is_a_still(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    MOVING[0].save(path, "MPO", save_all=True, append_images=MOVING[1:2])
    (frame,) = FrameReader(path)
    assert near(frame.image, np.array(MOVING[0]))


NOISE = np.random.default_rng(0).integers(0, 255, (128, 160, 3), np.uint8)
JPEGS = {
    "baseline": encoded(Image.fromarray(NOISE), "JPEG"),
    "4:4:4": encoded(Image.fromarray(NOISE), "JPEG", subsampling=0),
    "gray": encoded(Image.fromarray(NOISE[..., 0]), "JPEG"),
    "CMYK": encoded(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
    "progressive": encoded(Image.fromarray(NOISE), "JPEG", progressive=True),
    "restarts": cv2.imencode(
        ".jpg", NOISE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]
    )[1].tobytes(),
    "plain gray": encoded(Image.new("RGB", (160, 128), (128, 128, 128)), "JPEG"),
}  # fmt: skip
END = b"\xff\xd9"


@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_that_lost_their_end_are_refused(kind: str) -> None:
    data = JPEGS[kind]
    scan = data.index(b"\xff\xda")
    assert decode_picture(data, "whole").shape == (128, 160, 3)
    for share in (0.1, 0.5, 0.9, 0.97):
        at = scan + 20 + int(share * (len(data) - scan - 22))
        for end in (b"", END, b"\0" + END):
            with pytest.raises(InputError, match=r"bytes.*(cut off|damaged)"):
                decode_picture(data[:at] + end, "these bytes")


def test_jpegs_that_lost_restart_markers_are_refused() -> None:
    data = JPEGS["restarts"]
    scan = data.index(b"\xff\xda")
    with pytest.raises(InputError, match="cut off"):
        decode_picture(data[: scan + 800] + data[scan + 2000 :], "these bytes")


@pytest.mark.parametrize("kind", ["baseline", "gray", "restarts", "plain gray"])
def test_what_cameras_add_to_a_jpeg_is_fine(kind: str) -> None:
    data = JPEGS[kind]
    want = decode_picture(data, "whole")
    for odd in (
        data + b"\0" * 500,  # padding
        data[:-2] + b"\0" * 30 + END,  # "extraneous bytes before marker 0xd9"
        data + b"\xff\xd8\xff\xda\x00\x02" * 9,  # a film after it
    ):
        assert np.array_equal(decode_picture(odd, "odd"), want)


def png_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def gif_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("P", (8, 8)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def gif_frame(width: int, height: int) -> bytes:
    """Returns a GIF with a small screen, whose second frame is larger."""
    data = encoded(MOVING[0], "GIF", save_all=True, append_images=MOVING[1:2], duration=100)
    at = data.rindex(b"\x21\xf9\x04") + 8  # the frame follows its graphic control extension
    assert data[at : at + 1] == b"\x2c"
    return data[: at + 1] + struct.pack("<HHHH", 0, 0, width, height) + data[at + 9 :]


def jpeg_header(width: int, height: int) -> bytes:
    data = JPEGS["baseline"]
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def bmp_header(width: int, height: int) -> bytes:
    data = encoded(Image.new("1", (8, 8)), "BMP")
    return data[:18] + struct.pack("<ii", width, height) + data[26:]


def tiff_header(width: int, height: int) -> bytes:
    data = encoded(Image.new("1", (8, 8)), "TIFF", compression="group4")
    for tag, value in ((256, width), (257, height)):
        at = data.index(struct.pack("<HH", tag, 3))
        data = data[:at] + struct.pack("<HHII", tag, 4, 1, value) + data[at + 12 :]
    return data


@pytest.mark.parametrize(
    "make", [png_header, gif_header, gif_frame, jpeg_header, bmp_header, tiff_header]
)
@pytest.mark.parametrize("size", [(30_000, 30_000), (6_000, 5_000), (65_000, 1_000)])
def test_bombs_are_refused_before_they_are_decoded(
    make: Callable[[int, int], bytes], size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(make(*size))
    for read in (read_picture, read_portrait, lambda path: list(FrameReader(path))):
        with pytest.raises(InputError, match=r"bomb.*(pixels in \d+ bytes|animated)"):
            read(path)


def test_a_large_real_picture_is_read(tmp_path: Path) -> None:
    large = cv2.resize(NOISE, (6000, 4000), interpolation=cv2.INTER_LINEAR)
    assert cv2.imwrite(str(tmp_path / "large.jpg"), large)
    assert read_picture(tmp_path / "large.jpg").shape == (4000, 6000, 3)


STAND_INS = {
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "page.mp4": (b"<!DOCTYPE html><html>virus warning</html>", "is a web page"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which is not read"),
    "photo.jxl": (b"\xff\x0a" + b"\0" * 60, "JPEG XL, which is not read"),
    "layers.psd": (b"8BPS\0\1" + b"\0" * 60, "Photoshop, which is not read"),
    "light.exr": (b"v/1\x01" + b"\0" * 60, "OpenEXR, which is not read"),
    "light.hdr": (b"#?RADIANCE\n" + b"\0" * 60, "Radiance HDR, which is not read"),
    "paper.pdf": (b"%PDF-1.4\n" + b"\0" * 60, "PDF, which is not read"),
    "photo.cr2": (b"II*\0\x10\0\0\0CR\x02\0" + b"\0" * 60, r"camera raw \(CR2\), which is not"),
    "photo.cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", r"camera raw \(CR3\), which is not"),
    "photo.raf": (b"FUJIFILMCCD-RAW 0201", r"camera raw \(RAF\), which is not"),
    "photo.orf": (b"IIRO\x08\0\0\0" + b"\0" * 60, r"camera raw \(ORF\), which is not"),
    "photo.dng": (
        encoded(Image.new("L", (12, 8)), "TIFF", tiffinfo={254: 1, 50706: b"\1\4\0\0"}),
        "only a small preview of it can be read",
    ),
    "app.png": (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI", "iPhone apps"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is not read"),
    "empty.png": (b"", "is empty"),
    "text.jpg": (b"this is no picture, whatever its name says", "is not a picture"),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not a picture"),
    "list.mp4": (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n", "is not a picture"),
    "concat.mp4": (b"ffconcat version 1.0\nfile /etc/hostname\n", "is not a picture"),
    "head.jpg": (JPEGS["baseline"][:40], "cut off"),
    "head.png": (png_header(8, 8)[:30], "is damaged"),
    "head.gif": (gif_header(8, 8)[:12], "is damaged"),
    "head.webp": (b"RIFF\x10\0\0\0WEBPVP8 ", "is damaged"),
    "head.tiff": (b"II*\0\xff\xff\xff\xff", "is damaged"),
    "head.bmp": (b"BM\0\0", "is damaged"),
    "head.avif": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
}


@pytest.mark.parametrize(
    ("marker", "bits", "kind"),
    [(0xC3, 8, "lossless"), (0xC6, 8, "hierarchical"), (0xC1, 12, "12-bit")],
)
def test_jpegs_of_medical_and_scientific_cameras_are_not_called_damaged(
    marker: int, bits: int, kind: str
) -> None:
    data = bytearray(JPEGS["baseline"])
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    with pytest.raises(InputError, match=f"these bytes is a {kind} JPEG, which is not read: conv"):
        decode_picture(bytes(data), "these bytes")


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_pictures_whose_last_part_was_never_written_are_refused(kind: str) -> None:
    """Their decoders take zeros for data, and show a plain area."""
    needs(kind)
    for image in (cv2.resize(RGB, (480, 320)), NOISE):
        data = encoded(Image.fromarray(image), kind)
        assert decode_picture(data, "whole").shape == image.shape
        for share in (0.5, 0.8):
            at = int(share * len(data))
            with pytest.raises(InputError, match="bytes is damaged"):
                decode_picture(data[:at] + bytes(len(data) - at), "these bytes")


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_plain_pictures_are_whole(kind: str) -> None:
    """WebP ends in zeros where a picture has one colour."""
    needs(kind)
    for colour in ((0, 0, 0), (128, 128, 128), (255, 255, 255)):
        data = encoded(Image.new("RGB", (600, 400), colour), kind)
        assert near(decode_picture(data, "plain"), np.full((400, 600, 3), colour, np.uint8), 2)
    data = encoded(Image.new("RGB", (64, 48)), "WEBP")
    assert decode_picture(data + bytes(4096), "padded").shape == (48, 64, 3)


@pytest.mark.parametrize("name", STAND_INS)
def test_files_that_are_something_else(name: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    data, reason = STAND_INS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=reason) as error:
        FrameReader(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, reason in (
        (tmp_path / "pipe.jpg", "is a named pipe, not a file"),
        (Path("/dev/zero"), "is a device, not a file"),
        (tmp_path, "is a folder"),
    ):
        for read in (FrameReader, read_picture, read_portrait):
            with pytest.raises(InputError, match=reason):
                read(path)


NAMES = ("22:57.jpg", "a%d.jpg", "a b.jpg", "äöü.jpg", "-a.jpg", "http:", "no_ending", "wrong.mp4")


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.jpg"), "new\nline.jpg"])
def test_any_name_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(JPEGS["baseline"])
    for path in (name, Path(name), tmp_path / name):
        (frame,) = FrameReader(path)
        assert frame.image.shape == NOISE.shape
        assert read_portrait(path).shape == NOISE.shape


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG", "AVIF", "PPM"])
def test_any_damage_is_one_error(kind: str) -> None:
    """Damage gives one type of error, or none if it cannot be seen, such as a changed colour."""
    needs(kind)
    rng = np.random.default_rng(1)
    whole = encoded(Image.fromarray(NOISE[:40, :40]), kind)
    for _ in range(60):
        data = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        for at in rng.integers(0, len(data), int(rng.integers(0, 6))):
            data[at] = rng.integers(256)
        with contextlib.suppress(InputError):
            decode_picture(bytes(data), "these bytes")


def test_a_portrait_of_another_kind_is_a_portrait_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(PortraitError, match=r"portrait .*a\.png: it is a Git LFS pointer"):
        read_portrait(tmp_path / "a.png")


def test_sample_pictures_of_a_network_are_read_as_all_others(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    MOVING[0].save(path, save_all=True, append_images=MOVING[1:])
    with pytest.raises(InputError, match=r"a\.png is animated .*, not a still"):
        network_inputs(find_card("expression"), 1, [path])
