"""Converts between sensor_msgs images and RGB arrays.

It needs no cv_bridge, whose Python module needs a full ROS install. If cv_bridge is installed, it
converts the encodings that are missing here. The buffer of an rgb8 message becomes an array without
a copy.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image

from face_perception.errors import InputError
from face_perception.media import jpeg_complete

Array = npt.NDArray[np.uint8]


class ImageError(InputError):
    """An invalid image message; the text states the problem and the fix."""


def _as_is(a: Any) -> Any:
    return a


def _convert(code: int) -> Callable[[Any], Any]:
    return lambda a: cv2.cvtColor(a, code)


def _mono16(a: Any) -> Any:
    return cv2.cvtColor((a >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)


# encoding -> (type of a component, components per pixel, conversion to RGB8)
_ENCODINGS = {
    "rgb8": (np.uint8, 3, _as_is),
    "8UC3": (np.uint8, 3, _convert(cv2.COLOR_BGR2RGB)),
    "bgr8": (np.uint8, 3, _convert(cv2.COLOR_BGR2RGB)),
    "rgba8": (np.uint8, 4, _convert(cv2.COLOR_RGBA2RGB)),
    "bgra8": (np.uint8, 4, _convert(cv2.COLOR_BGRA2RGB)),
    "8UC4": (np.uint8, 4, _convert(cv2.COLOR_BGRA2RGB)),
    "mono8": (np.uint8, 1, _convert(cv2.COLOR_GRAY2RGB)),
    "8UC1": (np.uint8, 1, _convert(cv2.COLOR_GRAY2RGB)),
    "mono16": (np.uint16, 1, _mono16),
    "16UC1": (np.uint16, 1, _mono16),
    "yuv422": (np.uint8, 2, _convert(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": (np.uint8, 2, _convert(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": (np.uint8, 2, _convert(cv2.COLOR_YUV2RGB_YUYV)),
    "yuyv": (np.uint8, 2, _convert(cv2.COLOR_YUV2RGB_YUYV)),
    # OpenCV names a Bayer pattern by its second row and column, ROS by its first.
    "bayer_rggb8": (np.uint8, 1, _convert(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": (np.uint8, 1, _convert(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": (np.uint8, 1, _convert(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": (np.uint8, 1, _convert(cv2.COLOR_BayerGB2RGB)),
}

# Larger than any camera: a wrong header must not make us convert gigabytes.
_MAX_SIDE = 16384


def to_array(message: Image) -> Array:
    """Returns the pixels of an Image, RGB uint8 [H, W, 3]; for rgb8 a view of the message.

    cv_bridge, if installed, converts other encodings than those of this module. Raises ImageError
    for an unknown encoding, an empty image, or data that does not fit its size.
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
        return _by_cv_bridge(message)
    dtype, channels, convert = known
    size = np.dtype(dtype).itemsize
    row = width * channels * size
    if step < row:
        raise ImageError(
            f"step is {step}, but a row of {width} {message.encoding} pixels has {row} bytes: "
            "correct step or width in the camera driver"
        )
    data = np.frombuffer(message.data, np.uint8)
    # The last row needs no padding.
    if data.size < step * (height - 1) + row:
        raise ImageError(
            f"data has {data.size} bytes, but {width}x{height} {message.encoding} with step {step} "
            f"needs {step * height}: correct data or height in the camera driver"
        )
    if data.size >= step * height:
        rows = data[: step * height].reshape(height, step)
    else:
        rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1))
    pixels = rows[:, :row]
    typed: Any
    if size > 1:
        typed = np.ascontiguousarray(pixels).view(dtype)
        if bool(message.is_bigendian) == (sys.byteorder == "little"):
            typed = typed.byteswap()
    else:
        typed = pixels
    if channels > 1:
        typed = (
            typed.reshape(height, width, channels)
            if typed.flags.c_contiguous
            else np.ascontiguousarray(typed).reshape(height, width, channels)
        )
    try:
        return convert(typed)  # type: ignore[no-any-return]
    except cv2.error as error:
        raise ImageError(f"{width}x{height} {message.encoding}: {error.err}") from error


def _by_cv_bridge(message: Image) -> Array:
    """Returns the pixels of an Image, RGB uint8 [H, W, 3]. Raises ImageError if it cannot."""
    try:
        # With OpenCV 5, whose type codes it does not know, cv_bridge gives wrong images.
        if int(cv2.__version__.split(".")[0]) > 4:
            raise ImportError
        bridge = importlib.import_module("cv_bridge").CvBridge()
    except ImportError as error:
        raise ImageError(
            f"encoding {message.encoding!r} is not supported: install cv_bridge and OpenCV 4, or "
            f"set the camera driver to one of {', '.join(_ENCODINGS)}"
        ) from error
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except Exception as error:  # cv_bridge's class cannot be named where it is not installed
        raise ImageError(
            f"encoding {message.encoding!r} is not supported: cv_bridge cannot convert it to rgb8 "
            f"({error}); set the camera driver to one of {', '.join(_ENCODINGS)}"
        ) from error


def from_compressed(message: CompressedImage) -> Array:
    """Returns the pixels of a CompressedImage that OpenCV reads (JPEG, PNG …), uint8 [H, W, 3].

    Raises ImageError if the data is empty, cut off, or not an image.
    """
    data = np.frombuffer(message.data, np.uint8)
    if data.size == 0:
        raise ImageError(f"the compressed image ({message.format!r}) is empty")
    if bytes(data[:2]) == b"\xff\xd8" and not jpeg_complete(bytes(data)):
        # OpenCV fills the missing part with gray and reports no error.
        raise ImageError(f"the JPEG is cut off ({data.size} bytes, no end marker)")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(
            f"the compressed image ({message.format!r}, {data.size} bytes) is too large for "
            f"OpenCV: {error.err}"
        ) from error
    if image is None:
        raise ImageError(
            f"the compressed image ({message.format!r}, {data.size} bytes) cannot be decoded"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]


def from_array(image: Array, message: Image | None = None) -> Image:
    """Returns an rgb8 Image of RGB uint8 [H, W, 3]; the caller sets the header.

    Fills ``message`` if it is given.
    """
    message = Image() if message is None else message
    height, width = image.shape[:2]
    message.height, message.width = int(height), int(width)
    message.encoding = "rgb8"
    message.step = int(width * 3)
    message.is_bigendian = 0
    # frombytes on a fresh array is 500 times faster than assigning an array or a list.
    message.data.frombytes(memoryview(np.ascontiguousarray(image).data).cast("B"))
    return message


def to_compressed(image: Array, quality: int = 90) -> CompressedImage:
    """Returns a JPEG CompressedImage of RGB uint8 [H, W, 3]; ``quality`` is from 0 to 100."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    message = CompressedImage(format="rgb8; jpeg compressed bgr8")
    message.data.frombytes(data.tobytes())
    return message
