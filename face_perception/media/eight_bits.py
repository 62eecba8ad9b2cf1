"""Converts gray and colour values of more than 8 bits to 8 bits, and recognizes depth images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import Image

# Share of pixels without a measurement (0) from which 16-bit values may be depths, and the smallest
# depth of a sensor, in millimetres. Not measured on a data set of depth images.
_HOLES = 0.01
_NEAREST = 100
# Floating-point values between 1 and this are not a picture from 0 to 255, but depths in metres.
_DARK_FLOAT = 64


def used_bits(values: npt.NDArray[np.uint16]) -> int:
    """Returns how many of their 16 bits the values use: 8, 10, 12, 14 or 16.

    Infrared and machine-vision cameras send 10 or 12 bits in 16-bit words, in the lower bits.

    >>> used_bits(np.array([0, 1023], np.uint16)), used_bits(np.array([1024], np.uint16))
    (10, 12)
    """
    highest = int(values.max(initial=0)).bit_length()
    return max(8, highest + highest % 2)


class BitDepth:
    """Converts the 16-bit images of one camera to 8 bits, always in the same way.

    ``bits`` is the largest number of bits that any image used so far; 0 before the first.

    >>> depth = BitDepth()
    >>> bright, dark = np.array([1023], np.uint16), np.array([100], np.uint16)
    >>> depth.convert(bright).tolist(), depth.convert(dark).tolist(), depth.bits
    ([255], [25], 10)
    """

    def __init__(self) -> None:
        self.bits = 0

    def convert(self, values: npt.NDArray[np.uint16]) -> Image:
        """Returns the values as uint8, of the same shape."""
        self.bits = max(self.bits, used_bits(values))
        return to_eight_bits(values, self.bits)


def to_eight_bits(values: npt.NDArray[Any], bits: int = 0) -> Image:
    """Returns values of 16 bits or floating point as uint8, of the same shape.

    ``bits`` is the number of bits that unsigned 16-bit values use, not less than ``used_bits``; 0
    finds it from these values.
    Floating-point values must be from 0 to 1 or from 0 to 255. Raises InputError for other values.
    """
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    if values.dtype == np.uint16:
        shift = (bits or used_bits(values)) - 8
        return np.asarray(values >> shift, np.uint8)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if values.dtype.kind == "f" and low >= 0 and (high <= 1 or _DARK_FLOAT <= high <= 255):
        return np.asarray(np.rint(values * (255 if high <= 1 else 1)), np.uint8)
    raise InputError(
        f"its values are from {low:g} to {high:g}: a depth image, for example. Give a picture with "
        "8 or 16 bits a channel"
    )


def looks_like_depth(values: npt.NDArray[np.uint16]) -> bool:
    """Returns whether 16-bit gray values look like a depth image in millimetres.

    A depth image has holes without a measurement, which are 0, and no value between 0 and the
    nearest depth that a sensor measures. A gray image has dark pixels of all values, or has 8 bits
    that were multiplied by 256 or 257.
    """
    holes = np.count_nonzero(values == 0)
    if holes < _HOLES * values.size or holes == values.size:
        return False
    if np.any((values > 0) & (values < _NEAREST)):
        return False
    return bool(np.any(values % 256) and np.any(values % 257))
