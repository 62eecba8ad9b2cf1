"""Measures how open the eyes of a face are, relative to how open they usually are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.faces.head_pose import rotate_to_frontal
from face_perception.faces.landmarks import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
)
from face_perception.types import HeadPose

FloatArray = npt.NDArray[np.floating]

_LIDS = np.concatenate([LEFT_EYE_UPPER, LEFT_EYE_LOWER, RIGHT_EYE_UPPER, RIGHT_EYE_LOWER])
_MIDDLE = slice(2, 7)  # of the nine points of a lid, those that move


def eye_aspect_ratios(landmarks: FloatArray, pose: HeadPose | None) -> FloatArray:
    """Returns the eye aspect ratios of the left and right eye, [2].

    The ratio is the distance of the lids divided by that of the canthi. ``landmarks`` [478, 3] are
    rotated to frontal first if ``pose`` is known. Returns NaN for an eye whose canthi coincide.
    """
    points = landmarks[_LIDS]
    if pose is not None:
        points = rotate_to_frontal(points, pose)
    eyes = points[:, :2].reshape(2, 2, -1, 2)  # eye, lid, point
    opening = eyes[:, 0, _MIDDLE] - eyes[:, 1, _MIDDLE]
    lids_apart = np.hypot(opening[..., 0], opening[..., 1])
    heights = (np.add.reduce(lids_apart, axis=1) / lids_apart.shape[1]).tolist()
    across = (eyes[:, 0, 0] - eyes[:, 0, -1]).tolist()
    widths = [math.hypot(x, y) for x, y in across]
    return np.array([h / w if w > 0 else math.nan for h, w in zip(heights, widths, strict=True)])


class EyeOpenness:
    """Computes the openness of both eyes of one track, relative to their usual openness.

    The usual openness starts at the average of many people and adapts to this person: quickly in
    the first seconds, then slowly, and faster up than down. Closed eyes do not change it, so that
    an eye that is closed for a long time still counts as closed.
    """

    POPULATION = 0.28  # average aspect ratio of open eyes; 0.23 to 0.32 in the test material
    _CLOSED = 0.6  # openness below which an eye does not count as open
    _SURELY_OPEN = 0.20  # aspect ratio above which every eye counts as open
    _SETTLE, _RISE, _FALL = 0.5, 2.0, 20.0  # time constants of the adaptation, seconds

    def __init__(self) -> None:
        self._level = [self.POPULATION] * 2
        self._open_for = [0.0] * 2
        self._stamp = math.nan

    def update(self, ratios: FloatArray, stamp: float) -> FloatArray:
        """Returns the openness [2] for the aspect ratios [2] of the image of ``stamp`` seconds.

        1 is as open as usual; NaN is not known.
        """
        # After a pause, count at most a tenth of a second: the eyes were not seen in between.
        dt = min(max(stamp - self._stamp, 0.0), 0.1) if math.isfinite(self._stamp) else 0.0
        self._stamp = stamp
        for eye, ratio in enumerate(ratios.tolist()):
            self._learn(eye, ratio, dt)
        return np.asarray(ratios / self._level)

    def _learn(self, eye: int, ratio: float, dt: float) -> None:
        """Adapts the usual openness of one eye to an aspect ratio that lasted ``dt`` seconds."""
        level = self._level[eye]
        if not (ratio > self._CLOSED * level or ratio > self._SURELY_OPEN):
            return
        self._open_for[eye] += dt
        slow = self._RISE if ratio > level else self._FALL
        # At first this is about the mean of all ratios. Later it is an exponential moving average
        # with the time constant ``slow``.
        constant = min(slow, self._SETTLE + self._open_for[eye])
        self._level[eye] = level + dt / (constant + dt) * (ratio - level)
