"""Plays a picture, film or bag as a camera would deliver it."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator

from face_perception.media.frame_reader import FrameReader
from face_perception.types import Image

# Seconds after which an image that is still shown is sent again, as a camera would.
_REPEAT = 1.0
# Seconds between two frames; a longer step is an error in the stamps of the film, unless most steps
# are as long: the clock of the recorder was set.
_LONGEST_STEP = 60.0


def play_clip(
    path: str | os.PathLike[str], still_rate: float, *, loop: bool, warn: Callable[[str], None]
) -> Iterator[tuple[Image, float]]:
    """Opens a file, and returns its images and when each is due, in seconds since the first.

    Images are RGB uint8 [H, W, 3]. A film plays at its own times; a frame that is shown for longer
    than a second repeats each second. With ``loop`` the film is opened again when it ends, so that
    it may be replaced meanwhile. A still repeats ``still_rate`` times a second, without end.
    ``warn`` is called with a sentence about a damaged film, each time it ends, and about a gap in
    the stamps, or a step back in a bag, that is left out. This function, and the iterator when a
    film is opened again, raise what ``FrameReader`` raises.
    """
    return _play(FrameReader(path), still_rate, loop, warn)


def _play(
    clip: FrameReader, still_rate: float, loop: bool, warn: Callable[[str], None]
) -> Iterator[tuple[Image, float]]:
    begin = 0.0
    while True:
        with clip:
            usual = 1 / (clip.rate or still_rate)
            due, last = begin, None
            for frame in clip:
                if last is not None:
                    shown = frame.stamp - last.stamp
                    if not 0 <= shown <= max(_LONGEST_STEP, 2 * usual):
                        warn(f"{clip.path}: a step of {shown:.0f} s between two frames is left out")
                        shown = usual
                    yield from _repeated(last.image, due, shown)
                    due += shown
                yield frame.image, due
                last = frame
            if clip.still and last is not None:
                for number in itertools.count(1):
                    yield last.image, number / still_rate
            if clip.damage:
                warn(f"{clip.path} is damaged: {clip.damage}")
            if last is not None:
                yield from _repeated(last.image, due, usual)
            begin = due + usual
        if not loop:
            return
        clip = FrameReader(clip.path)


def _repeated(image: Image, due: float, shown: float) -> Iterator[tuple[Image, float]]:
    """Yields an image that is shown for ``shown`` seconds again, each ``_REPEAT`` seconds."""
    for number in range(1, math.ceil(shown / _REPEAT)):
        yield image, due + number * _REPEAT
