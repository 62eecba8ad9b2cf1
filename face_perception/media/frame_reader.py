"""Reads the frames of a picture or video file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from face_perception.errors import InputError
from face_perception.media.jpeg import jpeg_complete
from face_perception.types import Camera, Frame, Image

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


class FrameReader:
    """A picture or a video: iterate for its ``Frame``s, once.

    ``still`` is true for a picture; ``count`` is the number of frames that the file promises, 0
    where it does not say; ``rate`` is in frames a second. A video's stamps are its own, from zero;
    its rotation and a picture's EXIF orientation are applied. ``camera`` is that of all frames; by
    default one is assumed for their size. Raises OSError where the file cannot be read and
    InputError, naming it, where it is no picture or video, is empty or damaged, or has another size
    than ``camera``.
    """

    def __init__(self, path: str | os.PathLike[str], camera: Camera | None = None) -> None:
        self.path = Path(path)
        self._camera = camera
        self._capture: cv2.VideoCapture | None = None
        if self.path.is_dir():
            raise InputError(f"{path} is a directory: give a picture or a video")
        with open(self.path, "rb") as file:
            start = file.read(64)
        if not start:
            raise InputError(f"{path} is empty: copy or record it again")
        picture = self._picture(start)
        self.still = picture is not None
        self.count, self.rate = 1, 0.0
        if picture is None:
            picture = self._open_video()
        self._first = picture
        self._check_size(picture)

    def __iter__(self) -> Iterator[Frame]:
        image: Image | None = self._first
        stamp, last, start = 0.0, 0.0, self._position()
        while image is not None:
            self._check_size(image)
            height, width = image.shape[:2]
            yield Frame(image, stamp, self._camera or Camera.assume(width, height))
            if self._capture is None:
                return
            image = self._read()
            # Some containers have no stamps, or have them twice.
            stamp = self._position() - start
            last = stamp = stamp if stamp > last else last + 1 / self.rate

    def close(self) -> None:
        """Lets go of the file."""
        if self._capture is not None:
            self._capture.release()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _picture(self, start: bytes) -> Image | None:
        """The picture, or None where the file is none."""
        if start.startswith((_JPEG, _PNG)):
            data = self.path.read_bytes()
            if not (jpeg_complete(data) if start.startswith(_JPEG) else b"IEND" in data):
                raise InputError(f"{self.path} is truncated: copy it again")
        try:
            image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise InputError(f"{self.path} is more than OpenCV reads: {error.err}") from error
        if image is not None:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        if start.startswith((_JPEG, _PNG)):
            raise InputError(
                f"{self.path} is damaged: it looks like a picture, but does not decode"
            )
        return None

    def _open_video(self) -> Image:
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise InputError(
                f"{self.path} is neither a picture nor a video that OpenCV can read: convert it, "
                "e.g. to JPEG or MP4"
            )
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else 30.0
        self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        image = self._read()
        if image is None:
            raise InputError(
                f"{self.path} has no frame that can be decoded: convert or copy it again"
            )
        return image

    def _read(self) -> Image | None:
        assert self._capture is not None
        ok, image = self._capture.read()
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) if ok else None

    def _position(self) -> float:
        if self._capture is None:
            return 0.0
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def _check_size(self, image: Image) -> None:
        height, width = image.shape[:2]
        camera = self._camera
        if camera is not None and (camera.width, camera.height) != (width, height):
            raise InputError(
                f"{self.path} is {width}x{height}, but the camera was calibrated for "
                f"{camera.width}x{camera.height}: use the calibration of this size"
            )
