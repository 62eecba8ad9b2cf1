"""The probability that a gaze meets a target, from its angles, its error and the target's size.

Model, for yaw and for pitch: the measured offset from the line to the target is ``gain`` times the
true offset plus a normal error of ``sigma``. A true look has one of two sources: a person who aims
at the target looks anywhere in a disc about it; all other looks are normally distributed
(``Elsewhere``). Bayes' rule gives the posterior probability that the true look lies in the disc. No
images, no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face_perception.types import FloatArray, Gaze

_POINTS = 32
_MIN_SIGMA = math.radians(1)  # no gaze from a camera is more accurate
_MAX_CONE = math.radians(4)
_FAR = 8.0  # standard deviations; further away a likelihood counts as 0 (exp(-32) of its peak)


def _unit_disc() -> tuple[FloatArray, FloatArray]:
    """Points spread evenly over the unit disc (Vogel's sunflower): their x and y [32]."""
    index = np.arange(_POINTS) + 0.5
    radius, angle = np.sqrt(index / _POINTS), index * math.pi * (3 - math.sqrt(5))
    return radius * np.cos(angle), radius * np.sin(angle)


_DISC_YAW, _DISC_PITCH = _unit_disc()


@dataclass(frozen=True, slots=True)
class LookError:
    """Error model of a gaze: gain and standard deviation of yaw and of pitch, radians."""

    yaw_sigma: float
    pitch_sigma: float
    yaw_gain: float = 1.0
    pitch_gain: float = 1.0

    @classmethod
    def of(cls, gaze: Gaze) -> LookError:
        """The error that a gaze states."""
        return cls(gaze.yaw_sigma, gaze.pitch_sigma, gaze.yaw_gain, gaze.pitch_gain)

    @property
    def known(self) -> bool:
        values = (self.yaw_sigma, self.pitch_sigma, self.yaw_gain, self.pitch_gain)
        return all(math.isfinite(v) and v > 0 for v in values)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Distribution of the looks that are not aimed at the target: normal on each axis, radians.

    The mean is (0, ``pitch``) from the line to the target. People look down (at a tablet, a table,
    their hands) more than up.
    """

    yaw_spread: float = math.radians(20)
    pitch_spread: float = math.radians(15)
    pitch: float = math.radians(-8)


def cone(radius: float, distance: float) -> float:
    """Half the angle, radians, that a target of ``radius`` metres covers; at most 4 degrees.

    People feel looked at within a cone of about 4 degrees around their eyes. A target of a few
    centimetres that is very close would be wider than that.
    """
    return min(math.atan2(radius, distance), _MAX_CONE)


def offset(
    direction: FloatArray, line: FloatArray, up: FloatArray | None = None
) -> tuple[float, float]:
    """Yaw and pitch, radians, of a gaze ``direction`` [3] against the ``line`` [3] to a target.

    ``up`` [3] points to the top of the person's head (None: to the top of the image).
    Positive pitch is towards it; positive yaw is to the image's right for an upright head. NaN
    if a vector has no length or ``up`` lies along the line.
    """
    # Plain floats: numpy is several times slower for so few numbers.
    fx, fy, fz = _unit(*line.tolist())
    ux, uy, uz = (0.0, -1.0, 0.0) if up is None else up.tolist()
    along = ux * fx + uy * fy + uz * fz
    ux, uy, uz = _unit(ux - along * fx, uy - along * fy, uz - along * fz)
    rx, ry, rz = uy * fz - uz * fy, uz * fx - ux * fz, ux * fy - uy * fx
    dx, dy, dz = _unit(*direction.tolist())
    across, above = dx * rx + dy * ry + dz * rz, dx * ux + dy * uy + dz * uz
    ahead = dx * fx + dy * fy + dz * fz
    if not math.isfinite(across + above + ahead):
        return math.nan, math.nan
    return math.atan2(across, ahead), math.asin(max(-1.0, min(1.0, above)))


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = math.sqrt(x * x + y * y + z * z)
    return (x / length, y / length, z / length) if length > 1e-9 else (math.nan,) * 3


def sought(yaw: float, pitch: float, radius: float, error: LookError) -> float:
    """Likelihood of a measured offset (``yaw``, ``pitch``) if the person aims at a target of
    angular ``radius``; per square radian. 0 if the offset is certainly too large.
    """
    far_yaw = (abs(yaw) - error.yaw_gain * radius) / _floored(error.yaw_sigma)
    far_pitch = (abs(pitch) - error.pitch_gain * radius) / _floored(error.pitch_sigma)
    if max(far_yaw, far_pitch) > _FAR:
        return 0.0
    return float(_given_looks(yaw, pitch, radius, error).mean())


def _floored(sigma: float) -> float:
    return max(sigma, _MIN_SIGMA)


def _given_looks(yaw: float, pitch: float, radius: float, error: LookError) -> FloatArray:
    """Likelihoods [32] of a measured offset for 32 true looks, spread over the target's disc."""
    yaw_sigma, pitch_sigma = _floored(error.yaw_sigma), _floored(error.pitch_sigma)
    exponent = ((yaw - error.yaw_gain * radius * _DISC_YAW) / yaw_sigma) ** 2
    exponent += ((pitch - error.pitch_gain * radius * _DISC_PITCH) / pitch_sigma) ** 2
    likelihoods: FloatArray = np.exp(-exponent / 2) / (2 * math.pi * yaw_sigma * pitch_sigma)
    return likelihoods


def densities(
    yaw: float, pitch: float, radius: float, error: LookError, elsewhere: Elsewhere
) -> tuple[float, float, float]:
    """Likelihoods of a measured offset (``yaw``, ``pitch``), per square radian.

    Returns that of a person who aims at a target of angular ``radius`` (see ``sought``), that of
    one who looks elsewhere, and the part of the latter for looks in the target by chance.
    """
    yaw_sigma, pitch_sigma = _floored(error.yaw_sigma), _floored(error.pitch_sigma)
    looks_yaw, looks_pitch = _DISC_YAW * radius, _DISC_PITCH * radius
    given_look = _given_looks(yaw, pitch, radius, error)
    exponent = (looks_yaw / elsewhere.yaw_spread) ** 2
    exponent += ((looks_pitch - elsewhere.pitch) / elsewhere.pitch_spread) ** 2
    by_chance = np.exp(-exponent / 2) / (
        2 * math.pi * elsewhere.yaw_spread * elsewhere.pitch_spread
    )
    other = _normal(yaw, math.hypot(error.yaw_gain * elsewhere.yaw_spread, yaw_sigma)) * _normal(
        pitch - error.pitch_gain * elsewhere.pitch,
        math.hypot(error.pitch_gain * elsewhere.pitch_spread, pitch_sigma),
    )
    chance = float(given_look @ by_chance) / _POINTS * math.pi * radius**2
    return float(given_look.mean()), other, min(chance, other)


def _normal(x: float, sigma: float) -> float:
    return math.exp(-((x / sigma) ** 2) / 2) / (math.sqrt(2 * math.pi) * sigma)


def probability(
    yaw: float,
    pitch: float,
    radius: float,
    error: LookError,
    prior: float,
    elsewhere: Elsewhere,
) -> float:
    """Posterior probability that the look lies within ``radius`` radians of the target.

    ``prior`` is the share of people who aim at the target. NaN if a value is unknown.
    """
    if not (math.isfinite(yaw) and math.isfinite(pitch) and radius > 0 and error.known):
        return math.nan
    seeking, other, chance = densities(yaw, pitch, radius, error, elsewhere)
    total = prior * seeking + (1 - prior) * other
    # Far from both distributions the densities underflow: the look is not at the target.
    return (prior * seeking + (1 - prior) * chance) / total if total > 0 else 0.0
