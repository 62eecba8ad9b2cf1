"""How open the eyes are, relative to how open they usually are. Knows no gaze."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.faces.landmarks import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
)
from face_perception.faces.pose import unrotated
from face_perception.types import HeadPose

FloatArray = npt.NDArray[np.floating]

_LIDS = np.stack([LEFT_EYE_UPPER, LEFT_EYE_LOWER, RIGHT_EYE_UPPER, RIGHT_EYE_LOWER])
_MIDDLE = slice(2, 7)  # of the nine points of a lid: where it moves


def aspect_ratios(landmarks: FloatArray, pose: HeadPose | None) -> FloatArray:
    """Height of the lids' opening over the distance of the canthi, left and right eye: [2].

    ``landmarks`` [478, 3], turned back by the head's pose where there is one. NaN where the canthi
    coincide.
    """
    points = landmarks[_LIDS.ravel()]
    if pose is not None:
        points = unrotated(points, pose)
    eyes = points[:, :2].reshape(2, 2, -1, 2)  # eye, lid, point
    heights = np.linalg.norm(eyes[:, 0, _MIDDLE] - eyes[:, 1, _MIDDLE], axis=2).mean(axis=1)
    widths = np.linalg.norm(eyes[:, 0, 0] - eyes[:, 0, -1], axis=1)
    return np.asarray(heights / np.where(widths > 0, widths, np.nan))


class EyeOpenness:
    """Openness of both eyes of one track relative to their own open level, from the first image on.

    The level begins as a population's. It follows what is seen of an open eye, fast in the first
    seconds and then slowly, and rises faster than it falls. What looks closed does not change it,
    so that an eye closed for long still reads closed.
    """

    POPULATION = 0.28  # aspect ratio of an open eye; 0.23 to 0.32 in the test material
    _CLOSED = 0.6  # of the level: below this an eye is not open
    _SURELY_OPEN = 0.20  # aspect ratio that no closed eye has, whatever the level
    _SETTLE, _RISE, _FALL = 0.5, 2.0, 20.0  # time constants, seconds

    def __init__(self) -> None:
        self._level = np.full(2, self.POPULATION)
        self._open_for = np.zeros(2)
        self._stamp = math.nan

    def update(self, ratios: FloatArray, stamp: float) -> FloatArray:
        """Aspect ratios [2] at ``stamp`` seconds -> openness [2]: 1 open as usual, NaN unknown."""
        # A pause tells nothing about the time between: at most a tenth of a second counts.
        dt = min(max(stamp - self._stamp, 0.0), 0.1) if math.isfinite(self._stamp) else 0.0
        self._stamp = stamp
        opened = (ratios > self._CLOSED * self._level) | (ratios > self._SURELY_OPEN)
        self._open_for[opened] += dt
        slow = np.where(ratios > self._level, self._RISE, self._FALL)
        # The mean of what was seen so far, until that is slower than the time constant.
        constant = np.minimum(slow, self._SETTLE + self._open_for)
        share = np.where(opened, dt / (constant + dt), 0.0)
        self._level += share * np.where(opened, ratios - self._level, 0.0)
        return np.asarray(ratios / self._level)
