"""Reads the pixels of sensor_msgs images: of rclpy, or of a bag, which is read without ROS.

It needs no cv_bridge, whose Python module needs a full ROS install. If cv_bridge is installed, it
converts the encodings that are missing here. The buffer of an rgb8 message becomes an array without
a copy.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError, one_line, shortened
from face_perception.media.eight_bits import BitDepth, looks_like_depth

Array = npt.NDArray[np.uint8]


class ImageError(InputError):
    """An invalid image message; the text states the problem and the fix."""


def _as_is(a: Any) -> Any:
    return a


def _convert(code: int) -> Callable[[Any], Any]:
    return lambda a: cv2.cvtColor(a, code)


@dataclass(frozen=True)
class _Encoding:
    """How an encoding becomes RGB8.

    - ``convert``: converts 8-bit values; those of 16 bits become 8-bit values first.
    - ``channels``: components per pixel in a row of data.
    - ``deep``: a component has 16 bits, not 8.
    - ``half_rows``: rows of data for two rows of the image: 3 where colours follow in rows of their
      own, at half the resolution (4:2:0).
    """

    convert: Callable[[Any], Any]
    channels: int = 1
    deep: bool = False
    half_rows: int = 2


# OpenCV names a Bayer pattern by its second row and column, ROS by its first.
_BAYER = {
    "rggb": _convert(cv2.COLOR_BayerBG2RGB),
    "bggr": _convert(cv2.COLOR_BayerRG2RGB),
    "gbrg": _convert(cv2.COLOR_BayerGR2RGB),
    "grbg": _convert(cv2.COLOR_BayerGB2RGB),
}
_GRAY = _convert(cv2.COLOR_GRAY2RGB)
_ENCODINGS = {
    "rgb8": _Encoding(_as_is, 3),
    "8UC3": _Encoding(_convert(cv2.COLOR_BGR2RGB), 3),
    "bgr8": _Encoding(_convert(cv2.COLOR_BGR2RGB), 3),
    "rgba8": _Encoding(_convert(cv2.COLOR_RGBA2RGB), 4),
    "bgra8": _Encoding(_convert(cv2.COLOR_BGRA2RGB), 4),
    "8UC4": _Encoding(_convert(cv2.COLOR_BGRA2RGB), 4),
    "mono8": _Encoding(_GRAY),
    "8UC1": _Encoding(_GRAY),
    "mono16": _Encoding(_GRAY, deep=True),
    "16UC1": _Encoding(_GRAY, deep=True),
    "16UC3": _Encoding(_convert(cv2.COLOR_BGR2RGB), 3, deep=True),
    "16UC4": _Encoding(_convert(cv2.COLOR_BGRA2RGB), 4, deep=True),
    "rgb16": _Encoding(_as_is, 3, deep=True),
    "bgr16": _Encoding(_convert(cv2.COLOR_BGR2RGB), 3, deep=True),
    "rgba16": _Encoding(_convert(cv2.COLOR_RGBA2RGB), 4, deep=True),
    "bgra16": _Encoding(_convert(cv2.COLOR_BGRA2RGB), 4, deep=True),
    "yuv422": _Encoding(_convert(cv2.COLOR_YUV2RGB_UYVY), 2),
    "uyvy": _Encoding(_convert(cv2.COLOR_YUV2RGB_UYVY), 2),
    "yuv422_yuy2": _Encoding(_convert(cv2.COLOR_YUV2RGB_YUYV), 2),
    "yuyv": _Encoding(_convert(cv2.COLOR_YUV2RGB_YUYV), 2),
    "nv12": _Encoding(_convert(cv2.COLOR_YUV2RGB_NV12), half_rows=3),
    "nv21": _Encoding(_convert(cv2.COLOR_YUV2RGB_NV21), half_rows=3),
    **{f"bayer_{name}8": _Encoding(convert) for name, convert in _BAYER.items()},
    **{f"bayer_{name}16": _Encoding(convert, deep=True) for name, convert in _BAYER.items()},
}
# Encodings of depth images in REP 118: metres, and millimetres. Infrared cameras use the second,
# too.
_DEPTH, _MAYBE_DEPTH = "32FC1", "16UC1"
_NOT_DEPTH = "remap image to the colour or infrared image of the camera"

# Larger than any camera: a wrong header must not make us convert gigabytes.
_MAX_SIDE = 16384
# What image_transport sends, and WebP. Others, such as GIF, have no use in a stream.
_COMPRESSED = ("JPEG", "PNG", "TIFF", "WEBP")
_DAMAGED_FIX = "check the camera's cable and driver, or lower the size or rate of the images"


def image_from_message(message: Any, depth: BitDepth | None = None) -> Array:
    """Returns the pixels of a sensor_msgs/Image, RGB uint8 [H, W, 3]; for rgb8 a view of it.

    ``depth`` remembers how many bits the 16-bit images of this camera use; without it, this image
    alone decides. cv_bridge, if installed, converts other encodings than those of this module.
    Raises ImageError for an unknown encoding, a depth image, an empty image, or data that does not
    fit its size.
    """
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ImageError(f"the image is empty ({width}x{height})")
    if height > _MAX_SIDE or width > _MAX_SIDE:
        raise ImageError(
            f"the size of the image is {width}x{height}, but the limit is {_MAX_SIDE} pixels a side"
        )
    known = _ENCODINGS.get(message.encoding)
    if known is None:
        if message.encoding == _DEPTH:
            raise ImageError(f"encoding {_DEPTH!r} is not supported: a depth image: {_NOT_DEPTH}")
        return _by_cv_bridge(message)
    row = width * known.channels * (2 if known.deep else 1)
    if step < row:
        raise ImageError(
            f"step is {step}, but a row of {width} {message.encoding} pixels has {row} bytes: "
            "correct step or width in the camera driver"
        )
    count = height * known.half_rows // 2
    data = np.frombuffer(message.data, np.uint8)
    # The last row needs no padding.
    if data.size < step * (count - 1) + row:
        raise ImageError(
            f"data has {data.size} bytes, but {width}x{height} {message.encoding} with step {step} "
            f"needs {step * count}: correct data or height in the camera driver"
        )
    if data.size >= step * count:
        rows = data[: step * count].reshape(count, step)
    else:
        rows = np.lib.stride_tricks.as_strided(data, (count, row), (step, 1))
    values: Any = rows[:, :row]
    if known.deep:
        values = _to_eight_bits(message, values, depth or BitDepth())
    if known.channels > 1:
        values = np.ascontiguousarray(values).reshape(count, width, known.channels)
    try:
        return known.convert(values)  # type: ignore[no-any-return]
    except cv2.error as error:
        if width % 2 or (known.half_rows > 2 and height % 2):
            raise ImageError(
                f"{width}x{height} is not a size of {message.encoding}, whose pixels share colours "
                "in pairs: set the camera driver to an even width and height"
            ) from error
        raise ImageError(f"{width}x{height} {message.encoding}: {error.err}") from error


def _to_eight_bits(message: Any, rows: Array, depth: BitDepth) -> Array:
    """Returns the 16-bit values in the rows of a message as 8-bit values."""
    values = np.ascontiguousarray(rows).view(np.uint16)
    if bool(message.is_bigendian) == (sys.byteorder == "little"):
        values = values.byteswap()
    if message.encoding == _MAYBE_DEPTH and (
        "depth" in message.header.frame_id or looks_like_depth(values)
    ):
        raise ImageError(
            f"a {_MAYBE_DEPTH} image that looks like a depth image: {_NOT_DEPTH}; an infrared "
            "camera should publish mono16"
        )
    return depth.convert(values)


def _by_cv_bridge(message: Any) -> Array:
    """Returns the pixels of an Image, RGB uint8 [H, W, 3]. Raises ImageError if it cannot."""
    try:
        # With OpenCV 5, whose type codes it does not know, cv_bridge gives wrong images.
        if int(cv2.__version__.split(".")[0]) > 4:
            raise ImportError
        bridge = importlib.import_module("cv_bridge").CvBridge()
    except ImportError as error:
        raise ImageError(
            f"encoding {shortened(message.encoding)} is not supported: install cv_bridge and "
            f"OpenCV 4, or set the camera driver to one of {', '.join(_ENCODINGS)}"
        ) from error
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except Exception as error:  # cv_bridge's class cannot be named where it is not installed
        raise ImageError(
            f"encoding {shortened(message.encoding)} is not supported: cv_bridge cannot convert "
            f"it to rgb8 ({one_line(error)}); set the camera driver to one of "
            f"{', '.join(_ENCODINGS)}"
        ) from error


def image_from_compressed(message: Any) -> Array:
    """Returns the pixels of a sensor_msgs/CompressedImage, RGB uint8 [H, W, 3].

    Raises ImageError if the data is empty, cut off, or not a JPEG, PNG, TIFF or WebP picture, if it
    is a depth image, or if it has far more pixels than a picture of as many bytes.
    """
    if "compressedDepth" in message.format:
        raise ImageError(f"format {shortened(message.format)} is a depth image: {_NOT_DEPTH}")
    data = bytes(message.data)
    name = f"the compressed image ({message.format[:40]!r}, {len(data)} bytes)"
    if not data:
        raise ImageError(f"{name} is empty")
    # Here, because most nodes read no compressed images, and Pillow takes long to load.
    from face_perception.media.picture import decode_picture

    try:
        return decode_picture(data, name, _COMPRESSED, _DAMAGED_FIX)
    except InputError as error:
        raise ImageError(str(error)) from error
