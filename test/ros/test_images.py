"""Conversion between image messages and arrays: every encoding, and wrong headers."""

from __future__ import annotations

import array
import io
import struct
import sys
import zlib
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from sensor_msgs.msg import CompressedImage, Image

from face_perception.media import BitDepth, ImageError, image_from_compressed, image_from_message
from face_perception.ros import images

RNG = np.random.default_rng(0)


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    """Returns an RGB picture whose chroma survives subsampling."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 6, y * 8, 255 - x * 4 - y * 4], axis=-1)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def message(data: np.ndarray, encoding: str, step: int | None = None, pad: int = 0) -> Image:
    height, width = data.shape[:2]
    rows = data.reshape(height, -1).view(np.uint8)
    if pad:
        rows = np.hstack([rows, np.full((height, pad), 77, np.uint8)])
    out = Image(height=height, width=width, encoding=encoding)
    out.step = rows.shape[1] if step is None else step
    out.data = array.array("B", np.ascontiguousarray(rows).tobytes())
    return out


RGB = smooth()
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "data", "want"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1].copy(), RGB),
        ("8UC3", RGB[..., ::-1].copy(), RGB),
        ("rgba8", cv2.cvtColor(RGB, cv2.COLOR_RGB2RGBA), RGB),
        ("bgra8", cv2.cvtColor(RGB, cv2.COLOR_RGB2BGRA), RGB),
        ("mono8", GRAY, np.dstack([GRAY] * 3)),
        ("8UC1", GRAY, np.dstack([GRAY] * 3)),
    ],
)
def test_encodings(encoding: str, data: np.ndarray, want: np.ndarray, pad: int) -> None:
    assert np.array_equal(image_from_message(message(data, encoding, pad=pad)), want)


@pytest.mark.parametrize("big", [False, True])
def test_mono16_in_both_byte_orders(big: bool) -> None:
    wide = (GRAY.astype(np.uint16) << 8) + 13
    out = message(wide.astype(">u2" if big else "<u2"), "mono16", pad=2)
    out.is_bigendian = int(big)
    assert np.array_equal(image_from_message(out), np.dstack([GRAY] * 3))


@pytest.mark.parametrize(("encoding", "luma_first"), [("yuv422", False), ("yuv422_yuy2", True)])
def test_yuv(encoding: str, luma_first: bool) -> None:
    y, u, v = cv2.split(cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV))
    # Video range, as cameras send it and OpenCV expects.
    y = (16 + y * (219 / 255)).astype(np.uint8)
    u, v = (
        ((c.astype(float) - 128) * s + 128) for c, s in ((u, 0.886 / 0.872), (v, 0.701 / 0.615))
    )
    packed = np.zeros((*y.shape, 2), np.uint8)
    first, second = (0, 1) if luma_first else (1, 0)
    packed[..., first] = y
    packed[:, 0::2, second] = np.clip(u[:, 0::2], 0, 255)
    packed[:, 1::2, second] = np.clip(v[:, 0::2], 0, 255)
    got = image_from_message(message(packed, encoding))
    assert np.abs(got.astype(int) - RGB).mean() < 12


@pytest.mark.parametrize("pad", [0, 6])
@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_two_planes(encoding: str, pad: int) -> None:
    planar = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420)  # video range, as cameras send it
    height, width = GRAY.shape
    luma, chroma = planar[:height], planar[height:].reshape(2, -1)
    if encoding == "nv21":
        chroma = chroma[::-1]
    data = np.vstack([luma, chroma.T.reshape(-1, width)])
    out = message(data, encoding, pad=pad)
    out.height = height
    assert np.abs(image_from_message(out).astype(int) - RGB).mean() < 4
    out.data = out.data[: out.step * height]
    with pytest.raises(ImageError, match=rf"{encoding} with step {out.step} needs"):
        image_from_message(out)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize(
    "encoding", ["mono16", "16UC1", "16UC3", "16UC4", "rgb16", "bgr16", "rgba16", "bgra16"]
)
def test_words_of_sixteen_bits(encoding: str, bits: int) -> None:
    colours = RGB if encoding.startswith("rgb") else RGB[..., ::-1]
    if "a16" in encoding or encoding == "16UC4":
        colours = np.dstack([colours, GRAY])
    eight = GRAY if encoding in ("mono16", "16UC1") else colours
    deep = (eight.astype(np.uint32) * 257 >> (16 - bits)).astype(np.uint16)
    want = np.dstack([GRAY] * 3) if eight.ndim == 2 else RGB
    got = image_from_message(message(np.ascontiguousarray(deep), encoding))
    # The brightest value says how many bits are used: at most one bit less is seen.
    assert np.abs(got.astype(int) - want).max() <= 2


def test_a_camera_keeps_its_bits_in_the_dark() -> None:
    depth = BitDepth()
    bright, dark = (message((GRAY.astype(np.uint16) << 2) // share, "mono16") for share in (1, 8))
    image_from_message(bright, depth)
    assert depth.bits == 10
    assert np.abs(image_from_message(dark, depth)[..., 0].astype(int) - GRAY // 8).max() <= 1


def test_depth_images_are_refused_by_name() -> None:
    y, x = np.mgrid[0:48, 0:64]
    depth = (900 + 10 * x + 3 * y).astype(np.uint16)
    named = message(depth, "16UC1")
    named.header.frame_id = "camera_depth_optical_frame"
    depth[10:14, 20:40] = 0  # holes
    for bad in (named, message(depth, "16UC1"), message(np.float32(depth), "32FC1")):
        with pytest.raises(ImageError, match=r"depth image.*remap image to the colour"):
            image_from_message(bad)
    out = CompressedImage(format="16UC1; compressedDepth png")
    with pytest.raises(ImageError, match="is a depth image"):
        image_from_compressed(out)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_colours_are_not_swapped(pattern: str) -> None:
    colour = np.array([200, 100, 30], np.uint8)
    cell = np.array(["rgb".index(c) for c in pattern]).reshape(2, 2)
    mosaic = np.tile(colour[cell], (8, 8))
    got = image_from_message(message(mosaic, f"bayer_{pattern}8"))
    assert np.array_equal(got[4:-4, 4:-4].reshape(-1, 3).mean(0).round(), colour)


def test_rgb8_is_not_copied() -> None:
    source = message(RGB, "rgb8")
    view = image_from_message(source)
    source.data[0] = 250
    assert view[0, 0, 0] == 250


def test_round_trip() -> None:
    out = images.from_array(RGB[:, ::2])
    assert (out.height, out.width, out.step) == (24, 16, 48)
    assert np.array_equal(image_from_message(out), RGB[:, ::2])


def test_one_pixel() -> None:
    assert image_from_message(message(np.full((1, 1, 3), 9, np.uint8), "rgb8")).tolist() == [
        [[9] * 3]
    ]


def lying(**fields: int | str) -> Image:
    out = message(RGB, "rgb8")
    for name, value in fields.items():
        setattr(out, name, value)
    return out


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (lying(encoding="64FC1"), "encoding '64FC1' is not supported.*rgb8"),
        (lying(encoding="32FC1"), "encoding '32FC1' is not supported: a depth image: remap"),
        (lying(encoding=""), "encoding ''"),
        (lying(encoding="x" * 9999), r"^encoding .{,90} is not supported"),
        (lying(step=10), "step is 10.*96 bytes"),
        (lying(height=25), "data has 2304 bytes.*needs 2400"),
        (lying(width=0), "empty"),
        (lying(width=4_000_000_000, step=4_000_000_000), "the limit is 16384"),
        (lying(encoding="yuyv", width=31), "31x24 is not a size of yuyv.*even width and height"),
        (
            lying(encoding="nv12", height=23, step=32),
            "32x23 is not a size of nv12.*even width and height",
        ),
        (Image(), "the image is empty"),
        (Image(encoding="rgb8"), "empty"),
    ],
)
def test_lies_are_named(bad: Image, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        image_from_message(bad)


def test_compressed_round_trip() -> None:
    got = image_from_compressed(images.to_compressed(RGB, quality=95))
    assert np.abs(got.astype(int) - RGB).mean() < 6


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_cut_off_pictures_are_refused(extension: str) -> None:
    # Noise, because the file must be cut inside the pixel data.
    noise = RNG.integers(0, 255, (64, 64, 3), np.uint8)
    data = cv2.imencode(extension, noise)[1].tobytes()
    out = CompressedImage(format=extension)
    out.data = array.array("B", data)
    image_from_compressed(out)
    out.data = array.array("B", data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut off|cannot be decoded"):
        image_from_compressed(out)


def test_more_pixels_than_a_picture_has() -> None:
    data = bytearray(cv2.imencode(".png", RGB)[1].tobytes())
    data[16:24] = struct.pack(">II", 50_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    out = CompressedImage(format="png")
    out.data = array.array("B", bytes(data))
    with pytest.raises(ImageError, match="far too many pixels in"):
        image_from_compressed(out)


@pytest.mark.parametrize("data", [b"", b"not a picture"])
def test_no_picture_at_all(data: bytes) -> None:
    out = CompressedImage(format="jpeg")
    out.data = array.array("B", data)
    with pytest.raises(ImageError, match=r"empty|is not a picture"):
        image_from_compressed(out)


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_formats_without_use_in_a_stream_are_named(kind: str) -> None:
    data = io.BytesIO()
    Pillow.fromarray(RGB).save(data, kind)
    out = CompressedImage(format=kind.lower())
    out.data = array.array("B", data.getvalue())
    with pytest.raises(ImageError, match=f"in the format {kind}, which is not read here"):
        image_from_compressed(out)


class Bridge:
    """A stand-in for cv_bridge.CvBridge, which no package index has."""

    def imgmsg_to_cv2(self, message: Image, desired_encoding: str) -> np.ndarray:
        assert desired_encoding == "rgb8"
        if message.encoding != "nv24":
            raise RuntimeError(f"no conversion from {message.encoding}")
        return np.full((message.height, message.width, 3), 7, np.uint8)


def test_cv_bridge_converts_what_is_missing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Image(height=4, width=6, step=6, encoding="nv24")
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(ImageError, match=r"'nv24'.*install cv_bridge.*rgb8"):
        image_from_message(message)
    module = ModuleType("cv_bridge")
    module.CvBridge = Bridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    monkeypatch.setattr(cv2, "__version__", "4.9.0")
    found = image_from_message(message)
    assert (found.shape, found.dtype, found.max()) == ((4, 6, 3), np.uint8, 7)
    message.encoding = "64FC1"
    with pytest.raises(ImageError, match=r"'64FC1'.*no conversion from 64FC1"):
        image_from_message(message)
    message.encoding = "nv24"
    monkeypatch.setattr(cv2, "__version__", "5.0.0")
    with pytest.raises(ImageError, match="OpenCV 4"):
        image_from_message(message)
