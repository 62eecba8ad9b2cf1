"""The product under test, loaded once: for stills, and its face tracker alone. One thread."""

from __future__ import annotations

import functools

from face_perception.faces import FaceTracker, load_tracker
from face_perception.pipeline import Perception


@functools.cache
def still() -> Perception:
    """As `face-perception run` on a picture; keeps nothing between pictures."""
    return Perception.load(threads=1, single_image=True)


@functools.cache
def tracker() -> FaceTracker:
    """For stills with ``detect``. Reset it before a stream."""
    return load_tracker(threads=1)
