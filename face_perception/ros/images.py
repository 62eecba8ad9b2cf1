"""The one converter between sensor_msgs images and RGB arrays.

cv_bridge's Python part needs a full ROS install and is silently wrong on OpenCV 5; this needs
neither. The buffer of an rgb8 message becomes an array without a copy.
"""

from __future__ import annotations

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
    """A message that cannot be an image; the text says what is wrong with it and how to mend it."""


def _as_is(a: Any) -> Any:
    return a


def _convert(code: int) -> Callable[[Any], Any]:
    return lambda a: cv2.cvtColor(a, code)


def _mono16(a: Any) -> Any:
    return cv2.cvtColor((a >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)


# encoding -> (type of a component, components a pixel, to RGB8)
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

# Larger than any camera; guards against a header that lies before gigabytes are converted.
_MAX_SIDE = 16384


def to_array(message: Image) -> Array:
    """RGB uint8 [H, W, 3] of an Image; a view of the message where it is rgb8 already.

    Raises ImageError for an unknown encoding, an empty image, or a size that the data belies.
    """
    known = _ENCODINGS.get(message.encoding)
    if known is None:
        raise ImageError(
            f"encoding {message.encoding!r} is not supported: have the camera publish one of "
            + ", ".join(_ENCODINGS)
        )
    dtype, channels, convert = known
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ImageError(f"the image is empty ({width}x{height})")
    if height > _MAX_SIDE or width > _MAX_SIDE:
        raise ImageError(f"the image says it is {width}x{height}: more than {_MAX_SIDE} on a side")
    size = np.dtype(dtype).itemsize
    row = width * channels * size
    if step < row:
        raise ImageError(
            f"step is {step}, but a row of {width} {message.encoding} pixels has {row} bytes: "
            "the camera driver fills step or width wrongly"
        )
    data = np.frombuffer(message.data, np.uint8)
    # The last row needs no padding.
    if data.size < step * (height - 1) + row:
        raise ImageError(
            f"data has {data.size} bytes, but {width}x{height} {message.encoding} with step {step} "
            f"needs {step * height}: the camera driver fills data or height wrongly"
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


def from_compressed(message: CompressedImage) -> Array:
    """RGB uint8 [H, W, 3] of a CompressedImage (JPEG, PNG and what else OpenCV reads).

    Raises ImageError for data that is empty, cut off, or no image.
    """
    data = np.frombuffer(message.data, np.uint8)
    if data.size == 0:
        raise ImageError(f"the compressed image ({message.format!r}) is empty")
    if bytes(data[:2]) == b"\xff\xd8" and not jpeg_complete(bytes(data)):
        # OpenCV would fill the missing part with grey and say nothing.
        raise ImageError(f"the JPEG is cut off ({data.size} bytes, no end marker)")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(
            f"the compressed image ({message.format!r}, {data.size} bytes) is more than OpenCV "
            f"decodes: {error.err}"
        ) from error
    if image is None:
        raise ImageError(
            f"the compressed image ({message.format!r}, {data.size} bytes) cannot be decoded"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]


def from_array(image: Array, message: Image | None = None) -> Image:
    """An rgb8 Image of RGB uint8 [H, W, 3]; the header is left to the caller."""
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
    """A JPEG CompressedImage of RGB uint8 [H, W, 3]."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    message = CompressedImage(format="rgb8; jpeg compressed bgr8")
    message.data.frombytes(data.tobytes())
    return message
