"""Turns images upright, as the camera was held."""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np

from face_perception.types import Image


class Turn(NamedTuple):
    """How to turn an image: first exchange rows and columns, then mirror left-right, top-bottom."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def apply(self, image: Image) -> Image:
        """Returns the turned image [H, W, C] or [H, W]; the image itself if nothing is to do."""
        if self.transpose:
            image = cv2.transpose(image)
        if self.mirror_x or self.mirror_y:
            image = cv2.flip(image, -1 if self.mirror_x and self.mirror_y else int(self.mirror_x))
        return np.asarray(image)


# By the value of the tag Orientation of EXIF and TIFF 6.0.
_BY_TAG = {
    2: Turn(mirror_x=True),
    3: Turn(mirror_x=True, mirror_y=True),
    4: Turn(mirror_y=True),
    5: Turn(transpose=True),
    6: Turn(transpose=True, mirror_x=True),
    7: Turn(transpose=True, mirror_x=True, mirror_y=True),
    8: Turn(transpose=True, mirror_y=True),
}


def turn_of_tag(orientation: object) -> Turn:
    """Returns the turn for EXIF's tag Orientation, 1 to 8. Ignores any other value."""
    return _BY_TAG.get(orientation, Turn()) if isinstance(orientation, int) else Turn()


def turn_of_matrix(matrix: bytes) -> Turn:
    """Returns the turn for a film's display matrix: 9 int32 as in the MP4 header, native order.

    x' = a x + c y and y' = b x + d y lead from the stored to the shown image, with a, b, c, d the
    elements 0, 1, 3 and 4. Rounds to quarter turns. Ignores a matrix that does not turn.

    >>> turn_of_matrix(struct.pack("9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30))
    Turn(transpose=True, mirror_x=True, mirror_y=False)
    """
    if len(matrix) != 36:
        return Turn()
    a, b, _, c, d, *_ = struct.unpack("9i", matrix)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(True, c < 0, b < 0)
    return Turn(False, a < 0, d < 0)
