"""Reads images from a camera of this computer."""

from __future__ import annotations

import re

import cv2
import numpy as np

from face_perception.errors import InputError
from face_perception.types import Image


def device_number(source: str) -> int | None:
    """Returns the number of a camera named ``/dev/video0`` or ``0``, or None for another name.

    >>> device_number("/dev/video2"), device_number("clip.mp4")
    (2, None)
    """
    device = re.fullmatch(r"(?:/dev/video)?(\d+)", source)
    return int(device[1]) if device else None


class CameraDevice:
    """A camera of this computer. Iterate over it to get RGB images, uint8 [H, W, 3].

    ``width`` and ``height`` are requests in pixels; the camera may deliver another size. Raises
    InputError if the camera cannot be opened, and OSError when it stops delivering images.
    """

    def __init__(self, number: int, width: int, height: int) -> None:
        self._name = f"/dev/video{number}"
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise InputError(
                f"camera {self._name} cannot be opened: plug it in, close other programs that use "
                "it, and add yourself to the group `video`"
            )
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> CameraDevice:
        return self

    def __next__(self) -> Image:
        ok, image = self._capture.read()
        if not ok:
            raise OSError(f"camera {self._name} delivers no more images: check its cable")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        self._capture.release()
