"""Robust statistics of two-dimensional offsets: centre, test for two places, autocorrelation.

Offsets are [N, 2], radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.types import FloatArray

# Distances from the centre, in standard deviations. A sample beyond the first has no weight
# (Tukey's biweight, with about 95 % of the efficiency of the mean in two dimensions). A sample
# beyond the second counts as a look elsewhere (1 in 500 samples of a normal distribution).
_CUT = 5.5
_ELSEWHERE = 3.5
# Limits of the standard deviation that scales these distances. A few smoothed images vary too
# little; a large value would merge two places into one.
_MIN_SCALE, _MAX_SCALE = math.radians(0.5), math.radians(3.5)
# The standard deviation is estimated from the nearest two fifths, because up to half of the samples
# may be looks elsewhere.
_SHARE = 0.4
_SHARE_RADIUS = math.sqrt(-2 * math.log(1 - _SHARE))  # of a normal distribution on two axes

# Samples are at two places if the places are this far apart, in radians and in standard deviations,
# if the smaller one has this share of the samples, and if the log-likelihood is this much higher
# than that of one place.
_APART, _APART_SPREADS, _SMALLER = math.radians(4), 2.5, 0.2
_TWO_PLACES = 7.0
_BACKGROUND = 0.1 / math.radians(60) ** 2  # 10 % of outliers, spread over a field of 60 x 60 deg


@dataclass(frozen=True, slots=True)
class RobustCentre:
    """Robust centre ``at`` [2], standard deviation on each axis, and which samples [N] are near."""

    at: FloatArray
    spread: float
    near: npt.NDArray[np.bool_]


def robust_centre(offsets: FloatArray) -> RobustCentre:
    """Returns the centre of ``offsets`` [N, 2], N > 0, by Tukey's biweight.

    This M-estimator gives far samples no weight and the others nearly equal weights. The iteration
    starts at the geometric median.
    """
    at = _geometric_median(offsets)
    scale = _MAX_SCALE
    for _ in range(3):
        radii = np.linalg.norm(offsets - at, axis=1)
        scale = float(np.quantile(radii, _SHARE)) / _SHARE_RADIUS
        scale = min(max(scale, _MIN_SCALE), _MAX_SCALE)
        for _ in range(10):
            weights = np.clip(1 - (radii / (_CUT * scale)) ** 2, 0, None) ** 2
            if not weights.sum() > 0:
                break
            moved = weights @ offsets / weights.sum()
            step = float(np.abs(moved - at).max())
            at = moved
            radii = np.linalg.norm(offsets - at, axis=1)
            if step < 1e-6:
                break
    near = radii <= _ELSEWHERE * scale
    squares = radii[near] ** 2
    free = 2 * max(int(near.sum()) - 1, 1)
    return RobustCentre(at, math.sqrt(float(squares.sum()) / free), near)


def _geometric_median(points: FloatArray) -> FloatArray:
    """Returns the geometric median [2] of ``points`` [N, 2], by Weiszfeld's iteration.

    It is robust against outliers if they are fewer than half of the points.
    """
    at: FloatArray = np.asarray(np.median(points, axis=0))
    for _ in range(30):
        weights = 1 / np.maximum(np.linalg.norm(points - at, axis=1), 1e-6)
        moved: FloatArray = weights @ points / weights.sum()
        if np.abs(moved - at).max() < 1e-5:
            return moved
        at = moved
    return at


def distance_between_places(offsets: FloatArray, min_samples: int = 12) -> float:
    """Returns the distance, radians, between two places that ``offsets`` [N, 2] come from.

    Returns 0 if they come from one place, or are fewer than ``min_samples``. Compares the
    likelihood of two normal distributions of equal spread with that of one, both with a uniform
    background of outliers. The distributions are fitted by expectation maximisation, started from
    opposite ends along four axes.
    """
    if len(offsets) < min_samples:
        return 0.0
    one = _fit(offsets, offsets.mean(0, keepdims=True))
    best = one
    middle = offsets - np.median(offsets, axis=0)
    for angle in np.arange(0, math.pi, math.pi / 4):
        along = middle @ (math.cos(angle), math.sin(angle))
        low, high = np.quantile(along, (0.2, 0.8))
        if high > low:
            ends = np.array([offsets[along <= low].mean(0), offsets[along >= high].mean(0)])
            two = _fit(offsets, ends)
            best = max(best, two, key=lambda fit: fit[0])
    likelihood, centres, shares, spread = best
    if len(centres) < 2 or likelihood - one[0] < _TWO_PLACES:
        return 0.0
    apart = float(np.linalg.norm(centres[0] - centres[1]))
    if apart < max(_APART, _APART_SPREADS * spread) or shares.min() < _SMALLER:
        return 0.0
    return apart


def _fit(offsets: FloatArray, centres: FloatArray) -> tuple[float, FloatArray, FloatArray, float]:
    """Fits K normal distributions to ``offsets`` by expectation maximisation, from ``centres``.

    Returns log-likelihood, centres [K, 2], shares [K], and the standard deviation on each axis.
    """
    shares = np.full(len(centres), 0.9 / len(centres))
    spread = math.radians(3)
    likelihood = -math.inf
    for _ in range(40):
        squares = ((offsets[:, None] - centres) ** 2).sum(-1)
        parts = shares * np.exp(-squares / (2 * spread**2)) / (2 * math.pi * spread**2)
        total = parts.sum(1) + _BACKGROUND
        now = float(np.log(total).sum())
        if now - likelihood < 1e-3:
            break
        likelihood = now
        belongs = parts / total[:, None]
        weight = belongs.sum(0) + 1e-9
        centres = belongs.T @ offsets / weight[:, None]
        shares = 0.9 * weight / weight.sum()
        spread = math.sqrt(float((belongs * squares).sum() / (2 * weight.sum())))
        spread = min(max(spread, _MIN_SCALE), _MAX_SCALE)
    return likelihood, centres, shares, spread


def autocorrelation_time(residuals: FloatArray) -> float:
    """Returns how many ``residuals`` [N, 2], in order of time, count as one independent sample.

    Smoothing in the estimator makes successive samples similar. The result is computed from the
    correlation of successive residuals; it is 1 if that correlation may be chance.
    """
    square = float((residuals**2).sum())
    if len(residuals) < 3 or not square > 0:
        return 1.0
    correlation = float((residuals[1:] * residuals[:-1]).sum()) / square
    if correlation < 2 / math.sqrt(2 * len(residuals)):
        return 1.0
    return (1 + correlation) / max(1 - correlation, 0.05)
