"""Plays a picture, film or bag as a camera would deliver it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

from face_perception.media.frame_reader import FrameReader
from face_perception.types import Image


def play_clip(
    path: str | os.PathLike[str], still_rate: float, *, loop: bool, warn: Callable[[str], None]
) -> Iterator[tuple[Image, float]]:
    """Opens a file, and returns its images and when each is due, in seconds since the first.

    Images are RGB uint8 [H, W, 3]. A film plays at its own times; with ``loop`` it is opened again
    when it ends, so that it may be replaced meanwhile. A still repeats ``still_rate`` times a
    second, without end. ``warn`` is called with a sentence about a damaged film, each time it ends.
    This function, and the iterator when a film is opened again, raise what ``FrameReader`` raises.
    """
    return _play(FrameReader(path), still_rate, loop, warn)


def _play(
    clip: FrameReader, still_rate: float, loop: bool, warn: Callable[[str], None]
) -> Iterator[tuple[Image, float]]:
    begin = 0.0
    while True:
        with clip:
            due = begin
            for frame in clip:
                due = begin + frame.stamp - clip.first_stamp
                yield frame.image, due
                if clip.still:
                    for number in itertools.count(1):
                        yield frame.image, number / still_rate
            if clip.damage:
                warn(f"{clip.path} is damaged: {clip.damage}")
            begin = due + 1 / clip.rate
        if not loop:
            return
        clip = FrameReader(clip.path)
