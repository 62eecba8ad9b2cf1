"""The probability that a gaze meets a target, from its angles, its error and the target's size.

Model, for yaw and for pitch: the measured offset from the line to the target is ``gain`` times the
true offset plus a normal error of ``sigma``. A true look has one of two sources. A person who seeks
the target looks anywhere in a disc about it. Other looks are normally distributed (``Elsewhere``).
The answer is the posterior probability, by Bayes' rule, that the true look lies in the disc. No
images, no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face_perception.types import FloatArray, Gaze

_POINTS = 64
_MIN_SIGMA = math.radians(0.3)
_MAX_CONE = math.radians(4)


def _unit_disc() -> FloatArray:
    """Points [64, 2] spread evenly over the unit disc (Vogel's sunflower)."""
    index = np.arange(_POINTS) + 0.5
    radius, angle = np.sqrt(index / _POINTS), index * math.pi * (3 - math.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


_DISC = _unit_disc()


@dataclass(frozen=True, slots=True)
class LookError:
    """Error model of a gaze: gain and standard deviation of yaw and of pitch, radians."""

    yaw_sigma: float
    pitch_sigma: float
    yaw_gain: float = 1.0
    pitch_gain: float = 1.0

    @classmethod
    def of(cls, gaze: Gaze) -> LookError:
        """The error that a gaze says of itself."""
        return cls(gaze.yaw_sigma, gaze.pitch_sigma, gaze.yaw_gain, gaze.pitch_gain)

    @property
    def known(self) -> bool:
        values = (self.yaw_sigma, self.pitch_sigma, self.yaw_gain, self.pitch_gain)
        return all(math.isfinite(v) and v > 0 for v in values)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where people look who do not seek the target: normal on each axis, radians.

    The mean is (0, ``pitch``) from the line to the target. People look down (at a tablet, a table,
    their hands) more than up.
    """

    yaw_spread: float = math.radians(20)
    pitch_spread: float = math.radians(15)
    pitch: float = math.radians(-8)


def cone(radius: float, distance: float) -> float:
    """Half the angle, radians, that a target of ``radius`` metres covers; at most 4 degrees.

    People feel looked at within a cone of some 4 degrees about their eyes. From near, a target of a
    few centimetres would be wider than that.
    """
    return min(math.atan2(radius, distance), _MAX_CONE)


def offset(
    direction: FloatArray, line: FloatArray, image_right: FloatArray | None = None
) -> tuple[float, float]:
    """Yaw and pitch, radians, of a gaze ``direction`` [3] against the ``line`` [3] to a target.

    Positive yaw is towards ``image_right`` [3] (the image's x axis where it is None; the line from
    the right eye to the left one for a tilted head), positive pitch is up. NaN where a vector has
    no length.
    """
    length = float(np.linalg.norm(line))
    if not length > 0:
        return math.nan, math.nan
    # A target straight above the eyes would leave no horizontal axis; there the image's x serves.
    forward = line / length
    right = np.array([1.0, 0.0, 0.0]) if image_right is None else np.asarray(image_right, float)
    right = right - (right @ forward) * forward
    size = float(np.linalg.norm(right))
    if size < 1e-6:
        return math.nan, math.nan
    right = right / size
    up = np.cross(right, -forward)
    across, above, ahead = (float(direction @ axis) for axis in (right, up, forward))
    norm = math.sqrt(across**2 + above**2 + ahead**2)
    if not norm > 0:
        return math.nan, math.nan
    return math.atan2(across, ahead), math.asin(max(-1.0, min(1.0, above / norm)))


def densities(
    yaw: float, pitch: float, radius: float, error: LookError, elsewhere: Elsewhere
) -> tuple[float, float, float]:
    """Likelihoods of a measured offset (``yaw``, ``pitch``): of a person who seeks a target of
    angular ``radius``, of one who looks elsewhere, and the part of the latter whose look lies in
    the target by chance; per square radian.
    """
    sigma = np.maximum([error.yaw_sigma, error.pitch_sigma], _MIN_SIGMA)
    gain = np.array([error.yaw_gain, error.pitch_gain])
    measured = np.array([yaw, pitch])
    looks = _DISC * radius
    given_look = _normal(measured - gain * looks, sigma)
    spread = np.array([elsewhere.yaw_spread, elsewhere.pitch_spread])
    mean = np.array([0.0, elsewhere.pitch])
    seeking = float(given_look.mean())
    other = float(_normal(measured - gain * mean, np.hypot(gain * spread, sigma)))
    area = math.pi * radius**2
    chance = float((given_look * _normal(looks - mean, spread)).mean()) * area
    return seeking, other, min(chance, other)


def _normal(offsets: FloatArray, sigma: FloatArray) -> FloatArray:
    """Density at ``offsets`` [..., 2] of independent normals of deviations ``sigma`` [2]."""
    squares = ((offsets / sigma) ** 2).sum(axis=-1)
    return np.asarray(np.exp(-squares / 2) / (2 * math.pi * sigma[0] * sigma[1]))


def probability(
    yaw: float,
    pitch: float,
    radius: float,
    error: LookError,
    prior: float,
    elsewhere: Elsewhere,
) -> float:
    """Posterior probability that the look lies within ``radius`` radians of the target.

    ``prior`` is the share of people who seek the target. NaN where a value is not known.
    """
    if not (math.isfinite(yaw) and math.isfinite(pitch) and radius > 0 and error.known):
        return math.nan
    seeking, other, chance = densities(yaw, pitch, radius, error, elsewhere)
    total = prior * seeking + (1 - prior) * other
    # Far beyond both sources the densities underflow: nobody looks at the target from there.
    return (prior * seeking + (1 - prior) * chance) / total if total > 0 else 0.0
