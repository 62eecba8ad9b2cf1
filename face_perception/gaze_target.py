"""The probability that a gaze meets a target, from its angles, its error and the target's size.

A gaze has an error model (``GazeErrorModel``). A true look has one of two sources: a person who aims at
the target looks anywhere in a disc about it; all other looks are normally distributed
(``Elsewhere``). Bayes' rule gives the posterior probability that the true look lies in the disc. No
images, no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from face_perception.types import FloatArray, Gaze

Number = TypeVar("Number", float, FloatArray)

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
class GazeErrorModel:
    """Error model of a gaze, for yaw and for pitch; radians, offsets from the line to a target.

    measured = centre + gain * (true - centre) + a normal error. The variance of that error is
    ``sigma``^2 + (``gain_sigma`` * (true - centre))^2: the gain differs between people, so the
    error grows away from ``centre``, the look at which the gaze is right on average.
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
        """The error that a gaze states, for offsets from the line to the camera."""
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
        """The same error for offsets from a line that is off by ``yaw`` and ``pitch``."""
        return replace(
            self, yaw_centre=self.yaw_centre - yaw, pitch_centre=self.pitch_centre - pitch
        )

    @property
    def is_known(self) -> bool:
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
        """The error of yaw and that of pitch."""
        return (
            _Axis(self.yaw_sigma, self.yaw_gain, self.yaw_gain_sigma, self.yaw_centre),
            _Axis(self.pitch_sigma, self.pitch_gain, self.pitch_gain_sigma, self.pitch_centre),
        )


class _Axis(NamedTuple):
    """``GazeErrorModel`` of one axis."""

    sigma: float
    gain: float
    gain_sigma: float
    centre: float

    def mean(self, true: Number) -> Number:
        """Mean of the measured offset for a ``true`` one."""
        return self.centre + self.gain * (true - self.centre)

    def variance(self, true: Number) -> Number:
        """Variance of the measured offset for a ``true`` one."""
        return max(self.sigma, _MIN_SIGMA) ** 2 + (self.gain_sigma * (true - self.centre)) ** 2

    def may_be(self, measured: float, radius: float) -> bool:
        """False if no look within ``radius`` of the target is measured like this."""
        widest = math.sqrt(self.variance(abs(self.centre) + radius + self.centre))
        return abs(measured - self.mean(0.0)) - self.gain * radius <= _FAR * widest

    def likelihoods(self, measured: float, true: FloatArray) -> FloatArray:
        """Likelihood of the measured offset for each true one; per radian."""
        variance = self.variance(true)
        exponent = (measured - self.mean(true)) ** 2 / variance
        return np.asarray(np.exp(-exponent / 2) / np.sqrt(2 * math.pi * variance))

    def likelihood_elsewhere(self, measured: float, mean: float, spread: float) -> float:
        """Likelihood of the measured offset if true ones are normally distributed; per radian.

        Exact for ``gain_sigma`` 0, else a normal distribution with the same mean and variance.
        """
        variance = self.variance(mean) + spread**2 * (self.gain**2 + self.gain_sigma**2)
        return _normal(measured - self.mean(mean), math.sqrt(variance))


@dataclass(frozen=True, slots=True)
class ElsewherePrior:
    """Distribution of the looks that are not aimed at the target: normal on each axis, radians.

    The mean is (0, ``pitch``) from the line to the target. People look down (at a tablet, a table,
    their hands) more than up.
    """

    yaw_spread: float = math.radians(20)
    pitch_spread: float = math.radians(15)
    pitch: float = math.radians(-8)


def target_angle(radius: float, distance: float) -> float:
    """Half the angle, radians, that a target of ``radius`` metres covers; at most 4 degrees.

    People feel looked at within a cone of about 4 degrees around their eyes. A target of a few
    centimetres that is very close would be wider than that.
    """
    return min(math.atan2(radius, distance), _MAX_CONE)


def offset_from_line(
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


def aimed_likelihood(yaw: float, pitch: float, radius: float, error: GazeErrorModel) -> float:
    """Likelihood of a measured offset (``yaw``, ``pitch``) if the person aims at a target of
    angular ``radius``; per square radian. 0 if the offset is certainly too large.
    """
    of_yaw, of_pitch = error.axes
    if not (of_yaw.may_be(yaw, radius) and of_pitch.may_be(pitch, radius)):
        return 0.0
    return float(_given_looks(yaw, pitch, radius, error).mean())


def _given_looks(yaw: float, pitch: float, radius: float, error: GazeErrorModel) -> FloatArray:
    """Likelihoods [32] of a measured offset for 32 true looks, spread over the target's disc."""
    of_yaw, of_pitch = error.axes
    return of_yaw.likelihoods(yaw, radius * _DISC_YAW) * of_pitch.likelihoods(
        pitch, radius * _DISC_PITCH
    )


def gaze_likelihoods(
    yaw: float, pitch: float, radius: float, error: GazeErrorModel, elsewhere: ElsewherePrior
) -> tuple[float, float, float]:
    """Likelihoods of a measured offset (``yaw``, ``pitch``), per square radian.

    Returns that of a person who aims at a target of angular ``radius`` (see ``sought``), that of
    one who looks elsewhere, and the part of the latter for looks in the target by chance.
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
    return float(given_look.mean()), other, min(chance, other)


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
    """Posterior probability that the look lies within ``radius`` radians of the target.

    ``prior`` is the share of people who aim at the target. NaN if a value is unknown.
    """
    if not (math.isfinite(yaw) and math.isfinite(pitch) and radius > 0 and error.is_known):
        return math.nan
    seeking, other, chance = gaze_likelihoods(yaw, pitch, radius, error, elsewhere)
    total = prior * seeking + (1 - prior) * other
    # Far from both distributions the densities underflow: the look is not at the target.
    return (prior * seeking + (1 - prior) * chance) / total if total > 0 else 0.0
