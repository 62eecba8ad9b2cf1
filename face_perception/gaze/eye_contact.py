"""How probable it is that a gaze meets the camera, from its angle, distance and uncertainty.

The measured gaze, as an offset in two dimensions from the line to the camera, is the true one plus
a normal error of ``sigma`` on each axis. Before it is seen, the true one has one of two sources:
with probability ``prior`` somebody seeks the camera, and it is anywhere in the disc of ``radius``
metres about the lens, atan(radius / distance) wide; else it is normal about the camera, with
``elsewhere`` on each axis. Asked for is the probability, by Bayes' rule, that the true gaze lies in
the disc, from whichever source. It falls with the angle (noncentral chi has a monotone likelihood
ratio). Without a prior for seeking eyes no gaze could ever be likely to meet any, since an error of
some degrees is larger than an eye.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face_perception import geometry
from face_perception.types import FloatArray, Gaze

# Per axis: a mean angle of 6 degrees, between what networks reach on people they do not know (4 to
# 5) and what the geometric estimator may be off by in the wild (5 to 8).
UNCALIBRATED_SIGMA = math.radians(5)
_MIN_SIGMA = math.radians(0.3)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, slots=True)
class EyeContact:
    """The model's constants; call it with an angle.

    - ``prior``: probability of seeking the camera before anything is seen.
    - ``radius``: metres about the lens within which a look counts.
    - ``elsewhere``: spread on each axis of other looks, radians.

    Raises ValueError where one is out of range.
    """

    prior: float = 0.5
    radius: float = 0.06
    elsewhere: float = 0.35

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise ValueError(f"eye contact's prior must be between 0 and 1, not {self.prior}")
        for name, value in (("radius", self.radius), ("elsewhere", self.elsewhere)):
            if not 0 < value < math.inf:
                raise ValueError(f"eye contact's {name} must be positive, not {value}")

    def __call__(self, angle: float, distance: float, sigma: float) -> float:
        """Probability for a gaze ``angle`` radians off the camera that is ``distance`` metres away,
        its error ``sigma`` radians on each axis. NaN where one is not known.
        """
        if not (math.isfinite(angle) and distance > 0 and sigma >= 0):
            return math.nan
        sigma = max(sigma, _MIN_SIGMA)
        disc = math.atan2(self.radius, distance)
        seeking = self.prior * _inside(angle, disc, sigma) / (math.pi * disc**2)
        # Of other looks, what they give to the measured angle, and the share of it in the disc.
        wide = self.elsewhere**2 + sigma**2
        shrunk = self.elsewhere**2 / wide
        others = math.exp(-(angle**2) / (2 * wide)) / (2 * math.pi * wide)
        by_chance = _inside(angle * shrunk, disc, sigma * math.sqrt(shrunk))
        total = seeking + (1 - self.prior) * others
        # Far beyond both they underflow; nobody looks into the camera there.
        return (seeking + (1 - self.prior) * others * by_chance) / total if total > 0 else 0.0

    def of(self, gaze: Gaze, sigma: float) -> float:
        """The same of a gaze; NaN where it is not valid."""
        if not gaze.valid:
            return math.nan
        return self(*angle_and_distance(gaze), sigma)


def angle_and_distance(gaze: Gaze) -> tuple[float, float]:
    """Radians between a gaze and the line from the eyes to the camera, and its length in metres."""
    to_camera: FloatArray = -gaze.origin
    return geometry.angle_between(gaze.direction, to_camera), float(np.linalg.norm(to_camera))


def _inside(offset: float, radius: float, sigma: float) -> float:
    """Probability that a normal point in two dimensions, ``offset`` from a disc's centre, lies in
    it: one minus Marcum's Q, by Gauss-Legendre over the radii that matter.
    """
    low, high = max(0.0, offset - 8 * sigma), min(radius, offset + 8 * sigma)
    if high <= low:
        return 0.0
    r = low + (high - low) * (_NODES + 1) / 2
    density = r / sigma**2 * np.exp(-((r - offset) ** 2) / (2 * sigma**2))
    density *= _scaled_bessel(r * offset / sigma**2)
    return min(1.0, float(density @ _WEIGHTS) * (high - low) / 2)


def _scaled_bessel(x: FloatArray) -> FloatArray:
    """exp(-x) I0(x) without overflow: its asymptotic series from where that is exact."""
    small = np.minimum(x, 500.0)
    large = np.maximum(x, 500.0)
    asymptotic = (1 + 1 / (8 * large)) / np.sqrt(2 * math.pi * large)
    return np.where(x < 500, np.i0(small) * np.exp(-small), asymptotic)
