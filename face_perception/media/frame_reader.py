"""Reads the frames of a picture, film or bag. It is the one reader, for commands and nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from face_perception.errors import InputError
from face_perception.media.bag import Bag
from face_perception.media.bag_reader import is_bag
from face_perception.media.closable import Closable
from face_perception.media.film import Film
from face_perception.media.input_file import open_input
from face_perception.media.jpeg import jpegs_in_a_row
from face_perception.media.picture import Picture, format_of
from face_perception.types import Camera, Frame, Image

_WANTED = "a picture, a film or a bag"
_LARGEST_JPEG = 64 << 20  # bytes in which the end of a JPEG picture is searched


class _Shown(NamedTuple):
    image: Image
    stamp: float  # seconds
    frame_id: str = ""
    camera: Camera | None = None


class FrameReader(Closable):
    """Reads a picture, a film or a bag. Iterate over it once to get its ``Frame`` objects.

    A bag is a recording of rosbag2: its folder, or one of its .mcap or .db3 files. ``topic`` is its
    image topic; it may be left out if there is only one.

    - ``still``: true for a picture of one frame. An animated picture is read as a film.
    - ``count``: number of frames that the file states, 0 if it states none.
    - ``rate``: usual number of frames per second; 0 for a still.
    - ``begin``: time of the first frame in the file, seconds. Stamps of a film start at 0 there.
    - ``first_stamp``: stamp of the first frame: 0, or the time in the first header of a bag.
    - ``damage``: after the iteration, what is wrong with the file, in words; else empty.

    Frames look as a viewer or player shows them: turned, stretched where pixels are not square, on
    plain gray where they are transparent, and with 8 bits. All frames have ``camera``; the default
    is that of the bag, or an assumed camera for their size. Raises OSError if the file cannot be
    read. Raises InputError, which names the file, the reason and the fix, if it is not a picture,
    film or bag, is empty or damaged, would need too much memory, or has another size than
    ``camera``. Raises MissingDependencyError for a film without PyAV, or a bag without rosbags.

    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as reader:
    ...     frames = list(reader)
    >>> reader.still, len(frames), frames[0].image.shape, frames[0].stamp
    (True, 1, (512, 512, 3), 0.0)
    """

    def __init__(
        self, path: str | os.PathLike[str], camera: Camera | None = None, topic: str = ""
    ) -> None:
        self.path = Path(path)
        self._camera = camera
        self._source: Film | Bag | None = None
        self._file: BinaryIO | None = None
        self.still, self.begin = False, 0.0
        try:
            if is_bag(self.path):
                self._open_bag(topic)
            else:
                self._open_file()
            self._first = next(self._images)
            self.first_stamp = self._first.stamp
            self._check_size(self._first.image)
        except BaseException:
            self.close()
            raise

    @property
    def damage(self) -> str:
        return self._source.damage if self._source else ""

    def __iter__(self) -> Iterator[Frame]:
        shown: _Shown | None = self._first
        while shown is not None:
            self._check_size(shown.image)
            height, width = shown.image.shape[:2]
            camera = self._camera or shown.camera or Camera.assume(width, height)
            yield Frame(shown.image, shown.stamp, camera, shown.frame_id)
            shown = next(self._images, None)

    def close(self) -> None:
        """Closes the file."""
        if self._source is not None:
            self._source.close()
        if self._file is not None:
            self._file.close()

    def _open_bag(self, topic: str) -> None:
        self._source = bag = Bag(self.path, topic)
        self.count, self.rate = bag.count, bag.rate
        self._images: Iterator[_Shown] = map(_Shown._make, bag)

    def _open_file(self) -> None:
        self._file = open_input(self.path, _WANTED)
        mjpeg = _is_mjpeg(self._file)
        if format_of(_start(self._file)) and not mjpeg:
            picture = Picture(self._file, str(self.path))
            self.still, self.count = picture.still, picture.count
            if picture.still:
                self.rate = 0.0
                self._images = iter([_Shown(picture.image(), 0.0)])
            else:
                self.rate = 1 / next(picture.frames())[1]
                self._images = _with_stamps(picture)
            return
        # FFmpeg takes a film of large JPEG pictures for one picture.
        self._source = film = Film(self._file, str(self.path), "mjpeg" if mjpeg else None)
        self.count, self.rate, self.begin = film.count, film.rate, film.begin
        self._images = (_Shown(image, stamp) for image, stamp in film)

    def _check_size(self, image: Image) -> None:
        height, width = image.shape[:2]
        camera = self._camera
        if camera is not None and (camera.width, camera.height) != (width, height):
            raise InputError(
                f"{self.path} is {width}x{height}, but the camera was calibrated for "
                f"{camera.width}x{camera.height}: give the calibration for this size"
            )


def _start(file: BinaryIO, length: int = 64) -> bytes:
    """Returns the first bytes of a file. The position in the file is 0 afterwards."""
    file.seek(0)
    data = file.read(length)
    file.seek(0)
    return data


def _is_mjpeg(file: BinaryIO) -> bool:
    """Returns whether a file is JPEG pictures in a row, as some cameras record films."""
    return format_of(_start(file)) == "JPEG" and jpegs_in_a_row(_start(file, _LARGEST_JPEG))


def _with_stamps(picture: Picture) -> Iterator[_Shown]:
    stamp = 0.0
    for image, shown in picture.frames():
        yield _Shown(image, stamp)
        stamp += shown


def read_picture(path: str | os.PathLike[str]) -> Image:
    """Returns a still picture, RGB uint8 [H, W, 3], as ``FrameReader`` reads it.

    Raises OSError if the file cannot be read. Raises InputError, which names the file, the reason
    and the fix, if it is not a picture, is animated or a film, is damaged, or would need too much
    memory.
    """
    with open_input(path, "a picture") as file, Picture(file, str(path)) as picture:
        if _is_mjpeg(file):
            raise InputError(
                f"{path} is a film (JPEG pictures in a row), not a still: save one frame of it as "
                "a picture"
            )
        return picture.image()
