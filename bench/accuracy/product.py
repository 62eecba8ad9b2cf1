"""The product under test, loaded once: for stills, and its face tracker alone. One thread."""

from __future__ import annotations

import functools

from face_perception.faces import FaceTracker, load_tracker
from face_perception.gaze import GEOMETRIC, GazeEstimator, load_gaze
from face_perception.pipeline import Perception

_gaze = GEOMETRIC


def choose_gaze(name: str) -> None:
    """Chooses the gaze estimator to measure. Call it before anything else."""
    global _gaze
    _gaze = name


def gaze_name() -> str:
    return _gaze


@functools.cache
def gaze_estimator() -> GazeEstimator:
    return load_gaze(_gaze, threads=1)


@functools.cache
def still() -> Perception:
    """Returns what `face-perception run` uses for pictures. It keeps nothing between them."""
    return Perception.load(threads=1, single_image=True, gaze=_gaze)


@functools.cache
def tracker() -> FaceTracker:
    """Returns the face tracker. Use ``detect`` for stills, and reset it before a stream."""
    return load_tracker(threads=1)
