"""Measures the opening of the lips, and how lips move over the last second."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from face_perception import faces
from face_perception.types import Face, FloatArray

GRID_STEP = 0.02  # seconds between the moments at which lips and sound are compared
_SMOOTH = 0.04  # standard deviation of the smoothing, seconds
_MIDDLE = slice(4, 7)  # the middle three of a lip's eleven points
# The landmarks that are measured: the outer canthi, then the middle of the upper and lower lip.
_MEASURED = np.concatenate(
    [
        [faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS],
        faces.LIPS_INNER_UPPER[_MIDDLE],
        faces.LIPS_INNER_LOWER[_MIDDLE],
    ]
)
_MOST_TURNED = math.cos(math.radians(60))  # beyond, one half of the lips hides the other
_LONGEST_GAP = 0.25  # seconds between two images; the lips in a longer gap are unknown
# Seconds back for which motion and rhythm are measured, and the least for the motion.
MOTION_TIME, RHYTHM_TIME, _LEAST_MOTION_TIME = 0.5, 1.2, 0.3


def _change_kernel() -> FloatArray:
    """Returns a kernel [13] that gives the change per second of smoothed values on the grid."""
    times = np.arange(-6, 7) * GRID_STEP
    weights = -times * np.exp(-((times / _SMOOTH) ** 2) / 2)
    return np.asarray(weights / -(weights @ times))


_CHANGE = _change_kernel()


def lip_opening(face: Face) -> float:
    """Returns the gap between the lips in frontal view, in distances between the outer canthi.

    NaN if the face has no pose or landmarks, or is turned by more than 60 degrees.
    """
    pose = face.pose
    points = face.landmarks[_MEASURED]
    if pose is None or not (np.isfinite(points).all() and np.isfinite(pose.rotation).all()):
        return math.nan
    away = math.hypot(*pose.position.tolist())
    if not away > 0 or -float(pose.rotation[:, 0] @ pose.position) / away < _MOST_TURNED:
        return math.nan
    front = faces.rotate_to_frontal(points, pose)[:, :2]
    size = math.hypot(*(front[0] - front[1]).tolist())
    apart = (front[2:5] - front[5:8]).tolist()
    gap = sum(math.hypot(x, y) for x, y in apart) / len(apart)
    return gap / size if size > 0 else math.nan


def change_per_second(values: FloatArray) -> FloatArray:
    """Returns the change per second of ``values`` [N] on the grid, smoothed over about 0.1 s."""
    more = len(_CHANGE) // 2
    padded = np.concatenate([values[:1].repeat(more), values, values[-1:].repeat(more)])
    return np.convolve(padded, _CHANGE, "valid")


class Trace:
    """Values at times, kept for ``seconds``, that can be read at any time in between."""

    def __init__(self, seconds: float, longest_gap: float) -> None:
        self._seconds, self._longest_gap = seconds, longest_gap
        self._times: deque[float] = deque()
        self._values: deque[float] = deque()

    @property
    def last(self) -> float:
        """The time of the last value; minus infinity without any."""
        return self._times[-1] if self._times else -math.inf

    def add(self, time: float, value: float) -> None:
        """Adds a value. Values before a time that goes back, or before a gap, are forgotten.

        Of several values at one time the first is kept.
        """
        if time == self.last:
            return
        if not 0 < time - self.last <= self._longest_gap:
            self.clear()
        self._times.append(time)
        self._values.append(value)
        while time - self._times[0] > self._seconds:
            self._times.popleft()
            self._values.popleft()

    def clear(self) -> None:
        """Forgets all values."""
        self._times.clear()
        self._values.clear()

    def at(self, times: FloatArray) -> FloatArray:
        """Returns the values at ``times`` [N], in between by interpolation, NaN outside."""
        count = len(self._times)
        if not count:
            return np.full(len(times), math.nan)
        known, values = (np.fromiter(of, float, count) for of in (self._times, self._values))
        return np.asarray(np.interp(times, known, values, left=math.nan, right=math.nan))


class LipMotion(NamedTuple):
    """How lips have moved lately.

    - ``speed``: RMS of the change of the opening over the last 0.5 s, canthus distances per second.
    - ``rhythm``: speed by size of the movement over the last 1.2 s, radians per second: 8 for a
      chewing motion 1.3 times a second, larger for speech. NaN if it is not known.
    """

    speed: float
    rhythm: float


def lip_motion(change: FloatArray, opening: FloatArray, since: float = math.inf) -> LipMotion:
    """Measures the motion from opening and change [N] on the grid; NaN before the lips were seen.

    ``since``: seconds since the lips may have begun to speak. What they did before does not count:
    the speed is that of this time, but of 0.3 s at least; the rhythm is not known before 1.2 s.
    Returns NaN where less than half of the time is known.
    """
    recent = change[-round(min(max(since, _LEAST_MOTION_TIME), MOTION_TIME) / GRID_STEP) :]
    speed = _rms(recent)
    if since < RHYTHM_TIME:
        return LipMotion(speed, math.nan)
    long = slice(-round(RHYTHM_TIME / GRID_STEP), None)
    size, fast = _spread(opening[long]), _rms(change[long])
    return LipMotion(speed, fast / size if size > 0 else math.nan)


def _rms(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return math.sqrt(known @ known / len(known)) if 2 * len(known) >= len(values) else math.nan


def _spread(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    if 2 * len(known) < len(values):
        return math.nan
    off = known - np.add.reduce(known) / len(known)
    return math.sqrt(off @ off / len(known))
