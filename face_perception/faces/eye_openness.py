"""How open the eyes are, relative to how open they usually are. Knows no gaze."""

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
_MIDDLE = slice(2, 7)  # of the nine points of a lid: where it moves


def eye_aspect_ratios(landmarks: FloatArray, pose: HeadPose | None) -> FloatArray:
    """Height of the lids' opening over the distance of the canthi, left and right eye: [2].

    ``landmarks`` [478, 3], turned back by the head's pose where there is one. NaN where the canthi
    coincide.
    """
    points = landmarks[_LIDS]
    if pose is not None:
        points = rotate_to_frontal(points, pose)
    eyes = points[:, :2].reshape(2, 2, -1, 2)  # eye, lid, point
    opening = eyes[:, 0, _MIDDLE] - eyes[:, 1, _MIDDLE]
    heights = np.hypot(opening[..., 0], opening[..., 1]).mean(axis=1).tolist()
    across = (eyes[:, 0, 0] - eyes[:, 0, -1]).tolist()
    widths = [math.hypot(x, y) for x, y in across]
    return np.array([h / w if w > 0 else math.nan for h, w in zip(heights, widths, strict=True)])


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
        self._level = [self.POPULATION] * 2
        self._open_for = [0.0] * 2
        self._stamp = math.nan

    def update(self, ratios: FloatArray, stamp: float) -> FloatArray:
        """Aspect ratios [2] at ``stamp`` seconds -> openness [2]: 1 open as usual, NaN unknown."""
        # A pause tells nothing about the time between: at most a tenth of a second counts.
        dt = min(max(stamp - self._stamp, 0.0), 0.1) if math.isfinite(self._stamp) else 0.0
        self._stamp = stamp
        for eye, ratio in enumerate(ratios.tolist()):
            self._learn(eye, ratio, dt)
        return np.asarray(ratios / self._level)

    def _learn(self, eye: int, ratio: float, dt: float) -> None:
        """Move the open level of one eye by an aspect ratio that lasted ``dt`` seconds."""
        level = self._level[eye]
        if not (ratio > self._CLOSED * level or ratio > self._SURELY_OPEN):
            return
        self._open_for[eye] += dt
        slow = self._RISE if ratio > level else self._FALL
        # The mean of what was seen so far, until that is slower than the time constant.
        constant = min(slow, self._SETTLE + self._open_for[eye])
        self._level[eye] = level + dt / (constant + dt) * (ratio - level)
