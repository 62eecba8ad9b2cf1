"""Writes images and sound with their stamps to an mp4 file. Needs PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.errors import FacePerceptionError
from face_perception.types import Image

_TICKS = 90_000  # time units of a video stamp per second


class Mp4Error(FacePerceptionError, RuntimeError):
    """The mp4 file cannot be written. The message gives the reason and the fix."""


def write_mp4(
    path: str | os.PathLike[str],
    frames: Iterable[tuple[float, Image]],
    sound: Sequence[tuple[float, npt.NDArray[np.int16]]],
    rate: int,
) -> int:
    """Writes RGB images and mono sound, and returns the number of images.

    Each image and each piece of sound has a stamp in seconds, at which it is shown or played. The
    video starts with the first image. ``rate`` is the sample rate in Hz. The file appears when it
    is complete. Raises Mp4Error, and OSError if the folder cannot be written.
    """
    try:
        import av
    except ImportError as error:
        raise Mp4Error("an mp4 file with sound needs PyAV: pip install av") from error
    target = Path(path)
    part = target.with_name(f".{target.stem}.part.mp4")
    begin, count = 0.0, 0
    try:
        with av.open(str(part), "w", format="mp4") as film:
            video: Any = None
            voice = film.add_stream("aac", rate=rate, layout="mono")
            last = -1
            for stamp, image in frames:
                if video is None:
                    begin = stamp
                    video = _video(av, film, image)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.time_base = Fraction(1, _TICKS)
                frame.pts = last = max(last + 1, round((stamp - begin) * _TICKS))
                film.mux(video.encode(frame))
                count += 1
            if video is None:
                raise Mp4Error(f"{target}: there are no images to write")
            film.mux(video.encode(None))
            samples = _laid_out(sound, begin, rate)
            if len(samples):
                heard = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
                heard.sample_rate, heard.time_base, heard.pts = rate, Fraction(1, rate), 0
                film.mux(voice.encode(heard))
            film.mux(voice.encode(None))
        os.replace(part, target)
    except av.FFmpegError as error:
        raise Mp4Error(f"{target} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _video(av: Any, film: Any, image: Image) -> Any:
    """Adds a video stream: H.264, which all players know, or MPEG-4 if PyAV has no H.264."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    stream = film.add_stream(codec, rate=30)
    height, width = image.shape[:2]
    stream.width, stream.height = width // 2 * 2, height // 2 * 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
    if codec == "libx264":
        stream.options = {"preset": "veryfast", "crf": "20"}
    else:
        stream.bit_rate = 4_000_000
    return stream


def _laid_out(
    sound: Sequence[tuple[float, npt.NDArray[np.int16]]], begin: float, rate: int
) -> npt.NDArray[np.int16]:
    """Returns one array of sound that starts at ``begin``, with silence between the pieces."""
    places = [(max(0, round((stamp - begin) * rate)), samples) for stamp, samples in sound]
    out = np.zeros(max((at + len(samples) for at, samples in places), default=0), np.int16)
    follows = -1
    for at, samples in places:
        # Stamps are inexact by some samples, so join pieces that are within 1 ms of each other.
        if abs(at - follows) < rate // 1000:
            at = follows
        room = out[at : at + len(samples)]
        room[:] = samples[: len(room)]
        follows = at + len(samples)
    return out
