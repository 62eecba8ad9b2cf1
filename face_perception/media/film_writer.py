"""Writes films with stamps and sound. Needs PyAV."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import FacePerceptionError
from face_perception.media.film import import_av
from face_perception.media.nameless_file import NamelessFile
from face_perception.types import Image

_TICKS = 60_000  # time units of a stamp per second; MPEG-4 allows at most 65535
# Name of the container in FFmpeg, codecs of images in the order of preference, codec of sound. An
# AVI file has no stamps: its frames are repeated or left out, so that they are shown in time.
CONTAINERS = {
    ".mp4": ("mp4", ("libx264", "mpeg4"), "aac"),
    ".avi": ("avi", ("mjpeg",), "pcm_s16le"),
    ".mkv": ("matroska", ("libx264", "mpeg4"), "aac"),
    ".mov": ("mov", ("libx264", "mpeg4"), "aac"),
}


class FilmError(FacePerceptionError, RuntimeError):
    """The film cannot be written. The message gives the reason and the fix."""


class FilmWriter:
    """Writes a film, which appears at ``path`` when it is closed; without images, no file appears.

    The ending of ``path`` is one of ``CONTAINERS``. ``rate`` is the usual number of frames per
    second. ``sound_rate`` in Hz and ``channels`` are those of the sound; 0 means no sound. Raises
    FilmError, OSError if the folder cannot be written, and MissingDependencyError without PyAV.
    """

    def __init__(self, path: Path, rate: float, sound_rate: int = 0, channels: int = 1) -> None:
        self._av = import_av(f"{path} is written")
        self._path, self._rate = path, rate
        container, codecs, sound_codec = CONTAINERS[path.suffix.lower()]
        self._has_stamps = container != "avi"
        self._codec = next(c for c in codecs if c in self._av.codecs_available)
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        try:
            self._file = open(self._part, "w+b")  # noqa: SIM115 (closed by ``close``)
        except OSError as error:
            raise type(error)(
                error.errno, f"{path} cannot be written ({error.strerror}): choose another folder"
            ) from error
        self._nameless = NamelessFile(self._file)
        self._film = self._av.open(self._nameless, "w", format=container)
        self._video: Any = None
        self._sound: Any = None
        self._count, self._last, self._samples = 0, -1, 0
        if sound_rate:
            layout = "stereo" if channels == 2 else "mono"
            self._sound = self._film.add_stream(sound_codec, rate=sound_rate, layout=layout)
            self._layout, self._sound_rate = layout, sound_rate

    def add_image(self, image: Image, stamp: float) -> None:
        """Adds an RGB image, uint8 [H, W, 3], which is shown ``stamp`` seconds after the start.

        An image of another size than the first is resized.
        """
        try:
            if self._video is None:
                self._video = self._add_stream(image)
            self._count += 1
            unit = self._video.codec_context.time_base
            tick = round(stamp / unit)
            if tick <= self._last:
                if not self._has_stamps:
                    return
                tick = self._last + 1
            self._last = tick
            width, height = self._video.width, self._video.height
            if image.shape[0] < height or image.shape[1] < width:
                image = np.asarray(cv2.resize(image, (width, height)))
            pixels = np.ascontiguousarray(image[:height, :width])
            frame = self._av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base, frame.pts = unit, tick
            self._mux_images(frame)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def add_sound(self, samples: npt.NDArray[np.int16]) -> None:
        """Adds sound, [N, channels], which follows the sound before."""
        if not len(samples):
            return
        try:
            frame = self._av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=self._layout
            )
            frame.sample_rate = self._sound_rate
            frame.time_base, frame.pts = Fraction(1, self._sound_rate), self._samples
            self._samples += len(samples)
            self._film.mux(self._sound.encode(frame))
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Completes the film."""
        try:
            if self._count:
                self._mux_images(None)
                if self._sound is not None:
                    self._film.mux(self._sound.encode(None))
                self._film.close()
                self._file.close()
                os.replace(self._part, self._path)
        except (self._av.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes what was written, if the film is not complete."""
        with contextlib.suppress(OSError):  # the disk is full
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _mux_images(self, frame: Any) -> None:
        for packet in self._video.encode(frame):
            # How long the last image is shown; that of the others follows from their stamps.
            packet.duration = round(1 / self._rate / packet.time_base)
            self._film.mux(packet)

    def _failed(self, error: Exception) -> FilmError:
        # FFmpeg does not hand on why the file could not be written.
        cause = self._nameless.error or error
        reason = " ".join(str(getattr(cause, "strerror", None) or cause).split())
        return FilmError(f"{self._path} cannot be written: {reason}")

    def _add_stream(self, image: Image) -> Any:
        rate = Fraction(self._rate).limit_denominator(1001)
        stream = self._film.add_stream(self._codec, rate=rate)
        height, width = image.shape[:2]
        # 4:2:0 needs even sizes.
        stream.width, stream.height = max(width // 2 * 2, 2), max(height // 2 * 2, 2)
        stream.pix_fmt = "yuvj420p" if self._codec == "mjpeg" else "yuv420p"
        unit = Fraction(1, _TICKS) if self._has_stamps else 1 / rate
        stream.codec_context.time_base = stream.time_base = unit
        if self._codec == "libx264":
            # Without B-frames, because the container states the length of the film by the order of
            # decoding, in which the last frames of a film of variable rate are missing.
            stream.options = {"preset": "veryfast", "crf": "20", "bf": "0"}
        elif self._codec == "mjpeg":
            stream.options = {"qmin": "2", "qmax": "4"}
        else:
            stream.bit_rate = 4_000_000
        return stream


def write_mp4(
    path: str | os.PathLike[str],
    frames: Iterable[tuple[float, Image]],
    sound: Sequence[tuple[float, npt.NDArray[np.int16]]],
    rate: int,
) -> int:
    """Writes RGB images and mono sound to an mp4 file, and returns the number of images.

    Each image and each piece of sound has a stamp in seconds, at which it is shown or played. The
    film starts with the first image. ``rate`` is the sample rate in Hz. The file appears when it
    is complete. Raises what ``FilmWriter`` raises.
    """
    target = Path(path)
    film = FilmWriter(target, 30.0, rate)
    begin, count = 0.0, 0
    try:
        for stamp, image in frames:
            begin = begin if count else stamp
            film.add_image(image, stamp - begin)
            count += 1
        if not count:
            raise FilmError(f"{target}: there are no images to write")
        film.add_sound(_laid_out(sound, begin, rate)[:, None])
        film.close()
    except BaseException:
        film.discard()
        raise
    return count


def _laid_out(
    sound: Sequence[tuple[float, npt.NDArray[np.int16]]], begin: float, rate: int
) -> npt.NDArray[np.int16]:
    """Returns one array of sound that starts at ``begin``, with silence between the pieces."""
    places = [(max(0, round((stamp - begin) * rate)), samples) for stamp, samples in sound]
    out = np.zeros(max((at + len(samples) for at, samples in places), default=0), np.int16)
    follows = -rate  # no piece is near it
    for at, samples in places:
        # Stamps are inexact by some samples, so join pieces that are within 1 ms of each other.
        if abs(at - follows) < rate // 1000:
            at = follows
        room = out[at : at + len(samples)]
        room[:] = samples[: len(room)]
        follows = at + len(samples)
    return out
