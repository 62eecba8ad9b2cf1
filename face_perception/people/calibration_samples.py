"""Checks whether samples of a gaze at known targets agree, and averages them by target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.gaze import EstimatorPrior
from face_perception.people.robust_statistics import (
    RobustCentre,
    autocorrelation_time,
    distance_between_places,
    robust_centre,
)
from face_perception.types import FloatArray

_MAX_SPREAD = math.radians(5)
# Largest share of samples that are looks elsewhere. Unnoticed blinks and outliers are fewer.
_MAX_ELSEWHERE = 0.3
# Samples of a target that are needed to test whether they are looks at two places.
_MIN_FOR_TWO = 12
_IMPLAUSIBLE = 4.5  # standard deviations of the differences between people


class CalibrationRefused(InputError):
    """The samples are not good enough for a calibration.

    The message gives the reason and what to do.
    """


class TargetRefused(CalibrationRefused):
    """The samples are not good enough because of one target; ``target`` is its index."""

    def __init__(self, message: str, target: int) -> None:
        super().__init__(message)
        self.target = target


@dataclass(frozen=True, slots=True)
class CalibrationSamples:
    """Samples of one person's gaze, in order of time.

    ``estimates`` and ``truths`` [N, 2] are yaw and pitch in the normalized camera, radians.
    ``targets`` [N] is the index of each sample's target. ``lids`` [N, 3] are the heights of
    ``LidCue``, NaN if not seen.

    >>> from face_perception.gaze import NETWORK_PRIOR
    >>> samples = CalibrationSamples.from_arrays(
    ...     estimates=[[0.03, 0.01], [0.02, 0.0], [0.9, -0.4]],
    ...     truths=[[0.0, 0.0]] * 3,  # the person was asked to look at the lens
    ... )
    >>> samples.plausible(NETWORK_PRIOR).tolist()  # the third is a look elsewhere
    [True, True, False]
    """

    estimates: FloatArray
    truths: FloatArray
    targets: npt.NDArray[np.int_]
    lids: FloatArray

    @classmethod
    def from_arrays(
        cls,
        estimates: npt.ArrayLike,
        truths: npt.ArrayLike,
        targets: npt.ArrayLike | None = None,
        lids: npt.ArrayLike | None = None,
    ) -> CalibrationSamples:
        """Returns samples from array-likes. The default is one target, and lids not seen."""
        estimated = np.asarray(estimates, np.float64).reshape(-1, 2)
        count = len(estimated)
        return cls(
            estimated,
            np.asarray(truths, np.float64).reshape(-1, 2),
            np.zeros(count, np.int_) if targets is None else np.asarray(targets, np.int_),
            np.full((count, 3), np.nan) if lids is None else np.asarray(lids, float).reshape(-1, 3),
        )

    def without(self, target: int) -> CalibrationSamples:
        """Returns the samples without those of one ``target``."""
        keep = self.targets != target
        return CalibrationSamples(
            self.estimates[keep], self.truths[keep], self.targets[keep], self.lids[keep]
        )

    def plausible(self, prior: EstimatorPrior) -> npt.NDArray[np.bool_]:
        """Returns which samples [N] may be looks at their target; others are looks elsewhere."""
        off = np.zeros(len(self.estimates))
        for axis, known in enumerate((prior.yaw, prior.pitch)):
            estimate = self.estimates[:, axis]
            # The variance between people (gain and bias), plus that of the estimate.
            allowed = known.bias**2 + (known.spread * estimate) ** 2 + prior.noise**2
            off += (self.truths[:, axis] - known.gain * estimate) ** 2 / allowed
        return np.asarray(off <= _IMPLAUSIBLE**2)


@dataclass(frozen=True, slots=True)
class TargetMeans:
    """Mean of the samples of each of K targets.

    ``targets`` [K] are their indices, ``estimates`` and ``truths`` [K, 2] yaw and pitch, radians,
    ``lids`` [K, 3] the heights of ``LidCue``.
    """

    targets: npt.NDArray[np.int_]
    estimates: FloatArray
    truths: FloatArray
    lids: FloatArray

    def without(self, row: int) -> TargetMeans:
        """Returns the means without those of one ``row``."""
        keep = np.arange(len(self.targets)) != row
        return TargetMeans(
            self.targets[keep], self.estimates[keep], self.truths[keep], self.lids[keep]
        )


def named(target: int, names: Sequence[str]) -> str:
    """Returns the number of a target, with its name if there are ``names``."""
    return f"target {target} ({names[target]})" if names else f"target {target}"


def degrees(angle: float) -> str:
    """Returns an angle (radians) in degrees, with the unit."""
    return f"{math.degrees(angle):.1f}°"


def check_plausible(
    samples: CalibrationSamples, prior: EstimatorPrior, names: Sequence[str]
) -> None:
    """Raises TargetRefused if the gaze at a target is too far off to be a look at it."""
    plausible = samples.plausible(prior)
    for target in np.unique(samples.targets):
        of_target = samples.targets == target
        if plausible[of_target].mean() >= 0.5:
            continue
        off = samples.truths[of_target] - samples.estimates[of_target]
        raise TargetRefused(
            f"the gaze is {degrees(float(np.linalg.norm(np.median(off, axis=0))))} away from "
            f"{named(target, names)}, more than between any two people: look at the target, and "
            "check its position, camera_info and the frame",
            int(target),
        )


def steady(
    samples: CalibrationSamples, names: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], list[RobustCentre]]:
    """Returns which samples [N] are near the centre of their target's samples, and the centres.

    Raises CalibrationRefused if the person looked elsewhere, at two places, or unsteadily:
    TargetRefused if it was at one of several targets.
    """
    near = np.zeros(len(samples.targets), np.bool_)
    offsets = samples.truths - samples.estimates
    targets = np.unique(samples.targets)
    parts = [np.flatnonzero(samples.targets == t) for t in targets]
    centres = [robust_centre(offsets[part]) for part in parts]
    for part, found in zip(parts, centres, strict=True):
        near[part] = found.near
    if any(len(part) < _MIN_FOR_TWO for part in parts):
        # Test all targets together, after subtracting the mean offset of each target.
        about = offsets.copy()
        for part, found in zip(parts, centres, strict=True):
            about[part] -= found.at
        apart = distance_between_places(offsets if len(parts) == 1 else about, _MIN_FOR_TWO)
        if apart > 0:
            raise CalibrationRefused(_two_places(apart, "the target"))
    else:
        for target, part in zip(targets, parts, strict=True):
            apart = distance_between_places(offsets[part], _MIN_FOR_TWO)
            if apart > 0:
                where = named(target, names) if len(parts) > 1 else "the target"
                raise TargetRefused(_two_places(apart, where), int(target))
    elsewhere = 1 - float(near.mean())
    if elsewhere > _MAX_ELSEWHERE:
        raise CalibrationRefused(
            f"the person looked elsewhere in {elsewhere:.0%} of the images: keep looking at the "
            "target"
        )
    widest = max(found.spread for found in centres)
    if widest > _MAX_SPREAD:
        raise CalibrationRefused(
            f"the gaze varies by {degrees(widest)}, more than {degrees(_MAX_SPREAD)}: "
            "look steadily, come nearer, or give the face more light"
        )
    return near, centres


def _two_places(apart: float, target: str) -> str:
    return f"the person looked at two places, {degrees(apart)} apart: keep looking at {target}"


def means_of(samples: CalibrationSamples, near: npt.NDArray[np.bool_]) -> TargetMeans:
    """Returns the means of each target over the samples that are ``near`` [N] its centre."""
    rows = [near & (samples.targets == t) for t in np.unique(samples.targets)]
    return TargetMeans(
        np.unique(samples.targets),
        np.array([samples.estimates[row].mean(0) for row in rows]),
        np.array([samples.truths[row].mean(0) for row in rows]),
        np.array([_median_seen(samples.lids[row]) for row in rows]),
    )


def _median_seen(lids: FloatArray) -> FloatArray:
    """Returns the median [3] of the lids [N, 3] where they were seen; NaN if never."""
    seen = lids[np.isfinite(lids).all(axis=1)]
    return np.median(seen, axis=0) if len(seen) else np.full(3, np.nan)


def standard_error(
    samples: CalibrationSamples, near: npt.NDArray[np.bool_], centres: list[RobustCentre]
) -> float:
    """Returns the standard error of the mean offset of the targets, radians.

    It takes into account that successive samples are correlated.
    """
    squares = []
    offsets = samples.truths - samples.estimates
    for target, found in zip(np.unique(samples.targets), centres, strict=True):
        residuals = offsets[near & (samples.targets == target)] - found.at
        squares.append(found.spread**2 * autocorrelation_time(residuals) / max(len(residuals), 1))
    return math.sqrt(sum(squares)) / len(squares)


def mean_offset(samples: CalibrationSamples, near: npt.NDArray[np.bool_]) -> float:
    """Returns the mean distance, radians, between truth and estimate of ``near`` [N] samples."""
    return float(np.linalg.norm((samples.truths - samples.estimates)[near], axis=1).mean())
