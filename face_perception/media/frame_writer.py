"""Writes frames to a picture or video file."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from face_perception.errors import InputError
from face_perception.media.frame_reader import FrameReader
from face_perception.types import Image

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
_VIDEO_SUFFIXES = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".mov": "mp4v"}


class FrameWriter:
    """Writes images to a picture or video file, which appears when the writer is closed.

    The file is of the same kind, and a video has the same rate, as ``clip``. Raises InputError for
    a suffix that does not fit ``clip``, and OSError if the folder cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader, FrameWriter
    >>> reader = FrameReader(sample_photo("astronaut"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FrameWriter(Path(folder) / "copy.png", reader) as writer:
    ...         for frame in reader:
    ...             writer.write(frame.image)
    ...     [path.name for path in Path(folder).iterdir()]
    ['copy.png']
    """

    def __init__(self, path: str | os.PathLike[str], clip: FrameReader) -> None:
        self.path = Path(path)
        self._suffix = self.path.suffix.lower()
        wanted = _PICTURE_SUFFIXES if clip.still else tuple(_VIDEO_SUFFIXES)
        if self._suffix not in wanted:
            kind = "picture" if clip.still else "video"
            raise InputError(
                f"{path}: the annotated file of a {kind} must end in {', '.join(wanted)}"
            )
        refuse_overwriting(self.path, clip)
        self._part = self.path.with_name(f".{self.path.stem}.part{self._suffix}")
        # Test this before the work, because OpenCV does not report why it cannot write.
        try:
            self._part.open("wb").close()
        except OSError as error:
            raise type(error)(
                f"{path} cannot be written ({error.strerror}): choose another folder"
            ) from error
        self._rate = clip.rate
        self._video: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._count = 0

    def write(self, image: Image) -> None:
        """Writes the next RGB image, uint8 [H, W, 3]. Raises InputError if it cannot be encoded."""
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if self._suffix in _PICTURE_SUFFIXES:
            ok, data = cv2.imencode(self._suffix, pixels)
            if not ok:
                raise InputError(
                    f"{self.path}: OpenCV cannot encode {self._suffix}: use another suffix"
                )
            self._part.write_bytes(data.tobytes())
        else:
            self._append(pixels)
        self._count += 1

    def _append(self, pixels: Image) -> None:
        if self._video is None:
            # 4:2:0 needs even sizes.
            self._size = (pixels.shape[1] // 2 * 2, pixels.shape[0] // 2 * 2)
            codec = cv2.VideoWriter.fourcc(*_VIDEO_SUFFIXES[self._suffix])
            self._video = cv2.VideoWriter(str(self._part), codec, self._rate, self._size)
            if not self._video.isOpened():
                raise InputError(
                    f"{self.path}: this OpenCV cannot write {self._suffix} videos of "
                    f"{self._size[0]}x{self._size[1]}: use another suffix"
                )
        width, height = self._size
        if pixels.shape[0] < height or pixels.shape[1] < width:
            pixels = cv2.resize(pixels, self._size)
        self._video.write(np.ascontiguousarray(pixels[:height, :width]))

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Completes the file. Without an image, no file is written."""
        if self._video is not None:
            self._video.release()
        if self._count:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)


def refuse_overwriting(path: Path, clip: FrameReader) -> None:
    """Raises InputError if ``path`` is the file that ``clip`` reads."""
    if path.exists() and path.samefile(clip.path):
        raise InputError(f"{path} is the input file: give the output another name")
