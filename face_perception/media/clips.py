"""Files and cameras to images, and back to files; calibrations from files. No ROS, no faces."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import yaml

from face_perception.errors import InputError
from face_perception.types import Camera, Frame, Image

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
_VIDEO_SUFFIXES = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".mov": "mp4v"}


class Clip:
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

    def __enter__(self) -> Clip:
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


def device_number(source: str) -> int | None:
    """Of a camera named ``/dev/video0`` or ``0``; None where it is no such name."""
    device = re.fullmatch(r"(?:/dev/video)?(\d+)", source)
    return int(device[1]) if device else None


class Device:
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

    def __iter__(self) -> Device:
        return self

    def __next__(self) -> Image:
        ok, image = self._capture.read()
        if not ok:
            raise OSError(f"camera {self._name} gives no more images")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        self._capture.release()


class Drawing:
    """Writes frames to a picture or a video file that appears, whole, when it is closed.

    Raises InputError for a suffix that does not fit ``clip``, OSError where the folder cannot be
    written.
    """

    def __init__(self, path: str | os.PathLike[str], clip: Clip) -> None:
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
        # Now rather than after the work; OpenCV does not say why it cannot write.
        try:
            self._part.open("wb").close()
        except OSError as error:
            raise type(error)(f"{path} cannot be written: {error.strerror}") from error
        self._rate = clip.rate
        self._video: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._count = 0

    def write(self, image: Image) -> None:
        """Appends one RGB image. Raises InputError where it cannot be encoded."""
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if self._suffix in _PICTURE_SUFFIXES:
            ok, data = cv2.imencode(self._suffix, pixels)
            if not ok:
                raise InputError(f"{self.path}: OpenCV cannot encode {self._suffix}")
            self._part.write_bytes(data.tobytes())
        else:
            self._append(pixels)
        self._count += 1

    def _append(self, pixels: Image) -> None:
        if self._video is None:
            # 4:2:0 has no odd sizes.
            self._size = (pixels.shape[1] // 2 * 2, pixels.shape[0] // 2 * 2)
            codec = cv2.VideoWriter.fourcc(*_VIDEO_SUFFIXES[self._suffix])
            self._video = cv2.VideoWriter(str(self._part), codec, self._rate, self._size)
            if not self._video.isOpened():
                raise InputError(
                    f"{self.path}: this OpenCV cannot write {self._suffix} videos of "
                    f"{self._size[0]}x{self._size[1]}: try another suffix"
                )
        width, height = self._size
        if pixels.shape[0] < height or pixels.shape[1] < width:
            pixels = cv2.resize(pixels, self._size)
        self._video.write(np.ascontiguousarray(pixels[:height, :width]))

    def __enter__(self) -> Drawing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Completes the file; without a frame there is none."""
        if self._video is not None:
            self._video.release()
        if self._count:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)


def refuse_overwriting(path: Path, clip: Clip) -> None:
    """Raises InputError where ``path`` is the very file that ``clip`` reads."""
    if path.exists() and path.samefile(clip.path):
        raise InputError(f"{path} is the input: give the output another name")


def load_camera(path: str | os.PathLike[str]) -> Camera:
    """The camera of a YAML file as ROS's camera_calibration writes it.

    Raises OSError where it cannot be read, InputError naming it and what is wrong with it.
    """
    try:
        stream = open(path, encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise type(error)(
            f"camera calibration {path} cannot be read ({error.strerror}): give the YAML file that "
            "ROS's camera_calibration writes"
        ) from error
    with stream:
        try:
            data = yaml.safe_load(stream)
            if not isinstance(data, dict):
                raise InputError("camera_matrix, image_width and more were expected")
            k = [float(v) for v in data["camera_matrix"]["data"]]
            if len(k) != 9:
                raise InputError(f"camera_matrix has {len(k)} numbers, not 9")
            return Camera(
                width=int(data["image_width"]),
                height=int(data["image_height"]),
                fx=k[0],
                fy=k[4],
                cx=k[2],
                cy=k[5],
                distortion=tuple(
                    float(v) for v in data.get("distortion_coefficients", {}).get("data", ())
                ),
                distortion_model=str(data.get("distortion_model", "")),
            )
        except KeyError as error:
            raise InputError(f"{path} is no camera calibration: {error} is missing") from error
        except (TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} is no valid camera calibration: {reason}") from error


# What ends a run of compressed JPEG data: any marker but a restart (D0 to D7); FF 00 is data.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def jpeg_complete(data: bytes) -> bool:
    """Whether a JPEG file has its end-of-image marker (others append to it, so that it may not be
    last; and its thumbnail has one too).
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # compressed data follows
            end = _JPEG_MARKER.search(data, at)
            if end is None:
                return False
            at = end.start()
            if data[at + 1] == 0xD9:
                return True
    return False
