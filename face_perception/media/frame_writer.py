"""Writes annotated frames to a picture or film."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.files import named_errors
from face_perception.media.closable import Closable
from face_perception.media.film_sound import FilmSound
from face_perception.media.film_writer import CONTAINERS, FilmWriter
from face_perception.media.frame_reader import FrameReader
from face_perception.types import Image

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


class FrameWriter(Closable):
    """Writes images to a picture or film, which appears when the writer is closed.

    The file is of the same kind as ``clip``. A film keeps the stamps and the sound of ``clip``.
    Raises InputError for a suffix that does not fit ``clip``, FilmError if a film cannot be
    written, and OSError if the folder cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader, FrameWriter
    >>> reader = FrameReader(sample_photo("astronaut"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FrameWriter(Path(folder) / "copy.png", reader) as writer:
    ...         for frame in reader:
    ...             writer.write(frame.image, frame.stamp)
    ...     [path.name for path in Path(folder).iterdir()]
    ['copy.png']
    """

    def __init__(self, path: str | os.PathLike[str], clip: FrameReader) -> None:
        self.path = Path(path)
        wanted = _suffixes(clip)
        if self.path.suffix.lower() not in wanted:
            kind = "picture" if clip.still else "film"
            raise InputError(
                f"{path}: the annotated file of a {kind} must end in {', '.join(wanted)}"
            )
        refuse_overwriting(self.path, clip)
        self._output: _PictureOutput | _FilmOutput = (
            _PictureOutput(self.path) if clip.still else _FilmOutput(self.path, clip)
        )

    def write(self, image: Image, stamp: float) -> None:
        """Writes the next RGB image, uint8 [H, W, 3], at its stamp in seconds, as in ``clip``."""
        self._output.write(image, stamp)

    def close(self) -> None:
        """Completes the file. Without an image, no file is written."""
        self._output.close()


class _PictureOutput:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        # Test this before the work.
        try:
            self._part.open("wb").close()
        except OSError as error:
            raise type(error)(
                f"{path} cannot be written ({error.strerror}): choose another folder"
            ) from error
        self._written = False

    def write(self, image: Image, _: float) -> None:
        ok, data = cv2.imencode(self._path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if not ok:
            raise InputError(
                f"{self._path}: OpenCV cannot encode {self._path.suffix}: use another suffix"
            )
        with named_errors(self._path):
            self._part.write_bytes(data.tobytes())
        self._written = True

    def close(self) -> None:
        if self._written:
            os.replace(self._part, self._path)
        self._part.unlink(missing_ok=True)


class _FilmOutput:
    def __init__(self, path: Path, clip: FrameReader) -> None:
        self._first_stamp = clip.first_stamp
        self._sound = FilmSound(clip.path, clip.begin)
        self._pieces: Iterator[npt.NDArray[np.int16]] = iter(self._sound)
        self._rest = np.zeros((0, self._sound.channels), np.int16)
        self._sound_rate, self._sound_written = self._sound.rate, 0
        self._frame_time = 1 / clip.rate
        self._end = 0.0
        try:
            self._film = FilmWriter(path, clip.rate, self._sound.rate, self._sound.channels)
        except BaseException:
            self._sound.close()
            raise

    def write(self, image: Image, stamp: float) -> None:
        stamp -= self._first_stamp
        self._film.add_image(image, stamp)
        self._end = stamp + self._frame_time
        self._add_sound_until(stamp)

    def close(self) -> None:
        try:
            self._add_sound_until(self._end)
            self._film.close()
        finally:
            self._sound.close()

    def _add_sound_until(self, time: float) -> None:
        """Copies the sound up to a time, seconds, so that images and sound lie close together."""
        wanted = round(time * self._sound_rate)
        while self._sound_written < wanted:
            if not len(self._rest):
                following = next(self._pieces, None)
                if following is None:
                    return  # the sound ends before the images
                self._rest = following
                continue
            piece = self._rest[: wanted - self._sound_written]
            self._rest = self._rest[len(piece) :]
            self._film.add_sound(piece)
            self._sound_written += len(piece)


def annotated_name(clip: FrameReader) -> str:
    """Returns a file name for the annotated ``clip``: its own, if that kind can be written."""
    suffix, wanted = clip.path.suffix, _suffixes(clip)
    return result_stem(clip.path) + (suffix if suffix.lower() in wanted else wanted[0])


def result_stem(path: Path) -> str:
    """Returns the name, without an ending, of the results of a file, or of a bag in a folder."""
    return path.name if path.is_dir() else path.stem


def _suffixes(clip: FrameReader) -> tuple[str, ...]:
    return _PICTURE_SUFFIXES if clip.still else tuple(CONTAINERS)


def refuse_overwriting(path: Path, clip: FrameReader) -> None:
    """Raises InputError if ``path`` is the file that ``clip`` reads."""
    if path.exists() and path.samefile(clip.path):
        raise InputError(f"{path} is the input file: give the output another name")
