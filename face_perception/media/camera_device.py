"""Reads images from a camera of this computer."""

from __future__ import annotations

import re

import cv2
import numpy as np

from face_perception.errors import InputError
from face_perception.types import Image


def device_number(source: str) -> int | None:
    """Of a camera named ``/dev/video0`` or ``0``; None where it is no such name."""
    device = re.fullmatch(r"(?:/dev/video)?(\d+)", source)
    return int(device[1]) if device else None


class CameraDevice:
    """A camera of the computer, as an iterator of its images.

    Raises InputError where it cannot be opened, OSError when it gives no more.
    """

    def __init__(self, number: int, width: int, height: int) -> None:
        self._name = f"/dev/video{number}"
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise InputError(
                f"camera {self._name} cannot be opened: is it plugged in, free, and are you in the "
                "group `video`?"
            )
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> CameraDevice:
        return self

    def __next__(self) -> Image:
        ok, image = self._capture.read()
        if not ok:
            raise OSError(f"camera {self._name} gives no more images")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        self._capture.release()
