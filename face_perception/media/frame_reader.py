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
    """Reads a picture or a video file. Iterate over it once to get its ``Frame`` objects.

    ``still`` is true for a picture. ``count`` is the number of frames that the file states, 0 if it
    states none. ``rate`` is in frames per second. The stamps are those of the video, in seconds,
    and start at 0. The rotation of a video and the EXIF orientation of a picture are applied. All
    frames have ``camera``; the default is an assumed camera for their size. Raises OSError if the
    file cannot be read, and InputError, which names the file, if it is not a picture or video, is
    empty or damaged, or has another size than ``camera``.

    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as reader:
    ...     frames = list(reader)
    >>> reader.still, len(frames), frames[0].image.shape, frames[0].stamp
    (True, 1, (512, 512, 3), 0.0)
    """

    def __init__(self, path: str | os.PathLike[str], camera: Camera | None = None) -> None:
        self.path = Path(path)
        self._camera = camera
        self._capture: cv2.VideoCapture | None = None
        if self.path.is_dir():
            raise InputError(f"{path} is a folder: give a picture or a video")
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
            # Some containers have no stamps, or repeat a stamp.
            stamp = self._position() - start
            last = stamp = stamp if stamp > last else last + 1 / self.rate

    def close(self) -> None:
        """Closes the file."""
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
        """Returns the picture, or None if the file is not a picture."""
        if start.startswith((_JPEG, _PNG)):
            data = self.path.read_bytes()
            if not (jpeg_complete(data) if start.startswith(_JPEG) else b"IEND" in data):
                raise InputError(f"{self.path} is truncated: copy it again")
        try:
            image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise InputError(
                f"{self.path} is too large for OpenCV: {error.err}: scale it down"
            ) from error
        if image is not None:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        if start.startswith((_JPEG, _PNG)):
            raise InputError(
                f"{self.path} is damaged: it starts like a picture, but cannot be decoded: copy it "
                "again"
            )
        return None

    def _open_video(self) -> Image:
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise InputError(
                f"{self.path} is not a picture or video that OpenCV can read: convert it to JPEG "
                "or MP4, for example"
            )
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else 30.0
        self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        image = self._read()
        if image is None:
            raise InputError(
                f"{self.path} has no frame that can be decoded: convert it, or copy it again"
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
                f"{camera.width}x{camera.height}: give the calibration for this size"
            )
