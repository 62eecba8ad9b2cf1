"""Computes the probability that a person looks at a target, from the gaze and its error.

The model: a person who aims at the target looks anywhere in a disc around it. All other looks are
normally distributed (``ElsewherePrior``). The measured gaze is the true look plus an error
(``GazeErrorModel``). Bayes' rule then gives the posterior probability that the true look lies in
the disc. Angles are offsets from the line between the person's eyes and the target, radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from face_perception.types import FloatArray, Gaze

Number = TypeVar("Number", float, FloatArray)

_POINTS = 32  # of the disc, over which likelihoods are averaged
_MIN_SIGMA = math.radians(1)  # no gaze from a camera is more accurate
_MAX_CONE = math.radians(4)
_FAR = 8.0  # standard deviations; beyond them a likelihood (exp(-32) of its peak) counts as 0


def _unit_disc() -> tuple[FloatArray, FloatArray]:
    """Returns x and y, [32] each, of points that cover the unit disc evenly (Vogel's spiral)."""
    index = np.arange(_POINTS) + 0.5
    radius, angle = np.sqrt(index / _POINTS), index * math.pi * (3 - math.sqrt(5))
    return radius * np.cos(angle), radius * np.sin(angle)


_DISC_YAW, _DISC_PITCH = _unit_disc()


@dataclass(frozen=True, slots=True)
class GazeErrorModel:
    """Error model of a gaze, for yaw and for pitch. Angles are offsets from a line, radians.

    measured = centre + gain * (true - centre) + a normal error with variance ``sigma``^2 +
    (``gain_sigma`` * (true - centre))^2. On average the gaze is right at ``centre``. The error
    grows away from it, because the gain differs between people.
    """

    yaw_sigma: float
    pitch_sigma: float
    yaw_gain: float = 1.0
    pitch_gain: float = 1.0
    yaw_gain_sigma: float = 0.0
    pitch_gain_sigma: float = 0.0
    yaw_centre: float = 0.0
    pitch_centre: float = 0.0

    @classmethod
    def from_gaze(cls, gaze: Gaze) -> GazeErrorModel:
        """Returns the error that ``gaze`` states, for offsets from the line to the camera."""
        return cls(
            gaze.yaw_sigma,
            gaze.pitch_sigma,
            gaze.yaw_gain,
            gaze.pitch_gain,
            gaze.yaw_gain_sigma,
            gaze.pitch_gain_sigma,
            gaze.yaw_centre,
            gaze.pitch_centre,
        )

    def shifted_by(self, yaw: float, pitch: float) -> GazeErrorModel:
        """Returns the same error for offsets from another line.

        ``yaw`` and ``pitch``, radians, are the offset of the new line from the old one.
        """
        # ``dataclasses.replace`` takes four times as long.
        return GazeErrorModel(
            self.yaw_sigma,
            self.pitch_sigma,
            self.yaw_gain,
            self.pitch_gain,
            self.yaw_gain_sigma,
            self.pitch_gain_sigma,
            self.yaw_centre - yaw,
            self.pitch_centre - pitch,
        )

    @property
    def is_known(self) -> bool:
        """Returns whether all values are finite, and sigmas and gains positive."""
        positive = (self.yaw_sigma, self.pitch_sigma, self.yaw_gain, self.pitch_gain)
        others = (
            self.yaw_gain_sigma,
            self.pitch_gain_sigma,
            self.yaw_centre,
            self.pitch_centre,
        )
        return all(math.isfinite(v) and v > 0 for v in positive) and all(map(math.isfinite, others))

    @property
    def axes(self) -> tuple[_Axis, _Axis]:
        """The error models of yaw and of pitch."""
        return (
            _Axis(self.yaw_sigma, self.yaw_gain, self.yaw_gain_sigma, self.yaw_centre),
            _Axis(self.pitch_sigma, self.pitch_gain, self.pitch_gain_sigma, self.pitch_centre),
        )


class _Axis(NamedTuple):
    """Error model of one axis; see ``GazeErrorModel``."""

    sigma: float
    gain: float
    gain_sigma: float
    centre: float

    def mean(self, true: Number) -> Number:
        """Returns the mean measured offset for a ``true`` offset."""
        return self.centre + self.gain * (true - self.centre)

    def variance(self, true: Number) -> Number:
        """Returns the variance of the measured offset for a ``true`` offset."""
        return max(self.sigma, _MIN_SIGMA) ** 2 + (self.gain_sigma * (true - self.centre)) ** 2

    def may_be(self, measured: float, radius: float) -> bool:
        """Returns whether a look within ``radius`` of the target can give ``measured``."""
        widest = math.sqrt(self.variance(abs(self.centre) + radius + self.centre))
        return abs(measured - self.mean(0.0)) - self.gain * radius <= _FAR * widest

    def likelihoods(self, measured: float, true: FloatArray) -> FloatArray:
        """Returns the likelihood of ``measured`` for each ``true`` offset [N], per radian."""
        variance = self.variance(true)
        exponent = (measured - self.mean(true)) ** 2 / variance
        return np.asarray(np.exp(-exponent / 2) / np.sqrt(2 * math.pi * variance))

    def likelihood_elsewhere(self, measured: float, mean: float, spread: float) -> float:
        """Returns the likelihood of ``measured`` for normally distributed true offsets, per radian.

        The result is exact if ``gain_sigma`` is 0. Otherwise it is the likelihood of a normal
        distribution with the same mean and variance.
        """
        variance = self.variance(mean) + spread**2 * (self.gain**2 + self.gain_sigma**2)
        return _normal(measured - self.mean(mean), math.sqrt(variance))


@dataclass(frozen=True, slots=True)
class ElsewherePrior:
    """Normal distribution of the looks that are not aimed at the target; radians.

    The mean offset from the line to the target is 0 in yaw and ``pitch`` in pitch, because people
    look down (at a tablet, a table, their hands) more often than up.
    """

    yaw_spread: float = math.radians(20)
    pitch_spread: float = math.radians(15)
    pitch: float = math.radians(-8)


def target_angle(radius: float, distance: float) -> float:
    """Returns half the angle, radians, that a target covers; at most 4 degrees.

    ``radius`` is the target's radius and ``distance`` the distance from the eyes, metres. People
    feel looked at within a cone of about 4 degrees around their eyes. A very close target of a few
    centimetres would be wider than that.
    """
    return min(math.atan2(radius, distance), _MAX_CONE)


def offset_from_line(
    direction: FloatArray, line: FloatArray, up: FloatArray | None = None
) -> tuple[float, float]:
    """Returns the offset (yaw, pitch), radians, of a ``direction`` [3] from a ``line`` [3].

    Vectors are in the optical frame; their lengths do not matter. ``up`` [3] points to the top of
    the person's head (None: to the top of the image). Pitch is positive towards ``up``. Yaw is
    positive to the image's right for an upright head. Returns NaN if a vector has length 0 or
    ``up`` is parallel to the line.
    """
    # Plain floats, because numpy is several times slower for so few numbers.
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


def aimed_likelihood(yaw: float, pitch: float, radius: float, error: GazeErrorModel) -> float:
    """Returns the likelihood of a measured offset if the person aims at the target.

    ``yaw``, ``pitch`` and the target's angular ``radius`` are radians, the likelihood is per square
    radian. Returns 0 if the offset is too large to be a look at the target.
    """
    of_yaw, of_pitch = error.axes
    if not (of_yaw.may_be(yaw, radius) and of_pitch.may_be(pitch, radius)):
        return 0.0
    return float(np.add.reduce(_given_looks(yaw, pitch, radius, error))) / _POINTS


def _given_looks(yaw: float, pitch: float, radius: float, error: GazeErrorModel) -> FloatArray:
    """Returns the likelihoods [32] of a measured offset for 32 true looks all over the target."""
    of_yaw, of_pitch = error.axes
    return of_yaw.likelihoods(yaw, radius * _DISC_YAW) * of_pitch.likelihoods(
        pitch, radius * _DISC_PITCH
    )


def gaze_likelihoods(
    yaw: float, pitch: float, radius: float, error: GazeErrorModel, elsewhere: ElsewherePrior
) -> tuple[float, float, float]:
    """Returns three likelihoods of a measured offset (``yaw``, ``pitch``), per square radian.

    1. If the person aims at a target of angular ``radius`` (see ``aimed_likelihood``).
    2. If the person looks elsewhere (see ``ElsewherePrior``).
    3. The part of the second that comes from looks that meet the target by chance.
    """
    looks_yaw, looks_pitch = _DISC_YAW * radius, _DISC_PITCH * radius
    given_look = _given_looks(yaw, pitch, radius, error)
    exponent = (looks_yaw / elsewhere.yaw_spread) ** 2
    exponent += ((looks_pitch - elsewhere.pitch) / elsewhere.pitch_spread) ** 2
    by_chance = np.exp(-exponent / 2) / (
        2 * math.pi * elsewhere.yaw_spread * elsewhere.pitch_spread
    )
    of_yaw, of_pitch = error.axes
    other = of_yaw.likelihood_elsewhere(yaw, 0.0, elsewhere.yaw_spread)
    other *= of_pitch.likelihood_elsewhere(pitch, elsewhere.pitch, elsewhere.pitch_spread)
    chance = float(given_look @ by_chance) / _POINTS * math.pi * radius**2
    return float(np.add.reduce(given_look)) / _POINTS, other, min(chance, other)


def _normal(x: float, sigma: float) -> float:
    return math.exp(-((x / sigma) ** 2) / 2) / (math.sqrt(2 * math.pi) * sigma)


def target_probability(
    yaw: float,
    pitch: float,
    radius: float,
    error: GazeErrorModel,
    prior: float,
    elsewhere: ElsewherePrior,
) -> float:
    """Returns the posterior probability that the look lies within ``radius`` of the target.

    ``yaw``, ``pitch`` (the measured offset) and ``radius`` are radians. ``prior`` is the
    probability that the person aims at the target. Returns NaN if a value is not known.
    """
    if not (math.isfinite(yaw) and math.isfinite(pitch) and radius > 0 and error.is_known):
        return math.nan
    aimed, other, chance = gaze_likelihoods(yaw, pitch, radius, error, elsewhere)
    total = prior * aimed + (1 - prior) * other
    # Both likelihoods underflow for a look that is far from everything.
    return (prior * aimed + (1 - prior) * chance) / total if total > 0 else 0.0
