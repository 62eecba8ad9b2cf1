"""Fits a correction to the mean gaze at each target, and tests it on held-out targets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from face_perception.gaze import AxisPrior, EstimatorPrior, LidCue
from face_perception.people.calibration_samples import TargetMeans
from face_perception.people.correction import NO_LIDS, Correction
from face_perception.types import FloatArray

# An axis gets a gain if there are at least this many targets, and they span at least this angle.
MIN_TARGETS_FOR_GAIN = 4
_MIN_SPAN = math.radians(6)


def best_fit(means: TargetMeans, prior: EstimatorPrior) -> tuple[Correction, FloatArray]:
    """Returns the correction, and the error vector of each target when it is held out.

    The lids are used if they reduce the error of held-out targets. The errors are [K, 2], radians;
    [0, 2] for one target.
    """
    plain = _held_out(means, prior, lids=False)
    if prior.lid_gain and spans_of(means)[1] and np.isfinite(means.lids).all():
        helped = _held_out(means, prior, lids=True)
        if np.abs(helped[:, 1]).mean() < np.abs(plain[:, 1]).mean():
            return _fit(means, prior, lids=True), helped
    return _fit(means, prior, lids=False), plain


def _held_out(means: TargetMeans, prior: EstimatorPrior, lids: bool) -> FloatArray:
    """Returns the error vectors [K, 2] of each target after a fit to the others, radians."""
    count = len(means.targets)
    if count < 2:
        return np.zeros((0, 2))
    spans = spans_of(means)
    rows = [
        errors_of(means, _fit(means.without(row), prior, lids, spans))[row] for row in range(count)
    ]
    return np.array(rows)


def errors_of(means: TargetMeans, correction: Correction) -> FloatArray:
    """Returns the error vectors [K, 2] of the corrected targets, radians."""
    corrected = [
        correction.apply(yaw, pitch, LidCue(*lids))
        for (yaw, pitch), lids in zip(means.estimates.tolist(), means.lids.tolist(), strict=True)
    ]
    return np.array(corrected) - means.truths


def spans_of(means: TargetMeans) -> tuple[bool, bool]:
    """Returns whether the targets span enough to show the gain of yaw, and of pitch."""
    if len(means.targets) < MIN_TARGETS_FOR_GAIN:
        return False, False
    yaw, pitch = np.ptp(means.truths, axis=0) >= _MIN_SPAN
    return bool(yaw), bool(pitch)


def _fit(
    means: TargetMeans, prior: EstimatorPrior, lids: bool, spans: tuple[bool, bool] | None = None
) -> Correction:
    """Returns the correction that fits ``means`` best.

    ``lids``: whether to use the upper lid. ``spans``: which axes get a gain (see ``spans_of``).
    """
    with_gain = spans or spans_of(means)
    reference = LidCue(*np.mean(means.lids, axis=0).tolist()) if lids else NO_LIDS
    moved = np.zeros(len(means.targets))
    if lids:
        moved = np.array([LidCue(*row.tolist()).moved_by_gaze(reference) for row in means.lids])
    pitch_prior = replace(prior.pitch, gain=prior.pitch_with_lids) if lids else prior.pitch
    lid_gain = prior.lid_gain if lids else 0.0
    gains, crosses, biases, slopes, slope_sigmas = [], [], [], [], []
    centre_of = means.estimates.mean(0)
    for axis, known in enumerate((prior.yaw, pitch_prior)):
        truth = means.truths[:, axis] - (lid_gain * moved if axis else 0.0)
        estimate, other = means.estimates[:, axis], means.estimates[:, 1 - axis]
        if with_gain[axis]:
            gain, cross, sigma = _posterior_gains(estimate, other, truth, known, prior.noise)
            # The estimates have errors, so the regression gives a gain that is too small by the
            # factor ``slope``.
            extent = float(np.var(means.truths[:, axis]))
            slope = extent / (extent + (known.share * prior.noise) ** 2)
            slope_sigma = sigma / gain
        else:
            gain, cross = known.cautious, 0.0
            slope, slope_sigma = gain * known.scale, gain * known.scale_sigma
        gains.append(gain)
        crosses.append(cross)
        slopes.append(slope)
        slope_sigmas.append(slope_sigma)
        biases.append(float((truth - gain * estimate - cross * other).mean()))
    return Correction(
        bias_yaw=biases[0],
        bias_pitch=biases[1],
        gain_yaw=gains[0],
        gain_pitch=gains[1],
        cross_yaw=crosses[0],
        cross_pitch=crosses[1],
        lid_gain=lid_gain,
        lids=reference,
        centre_yaw=float(centre_of[0]),
        centre_pitch=float(centre_of[1]),
        slope_yaw=slopes[0],
        slope_pitch=slopes[1],
        slope_yaw_sigma=slope_sigmas[0],
        slope_pitch_sigma=slope_sigmas[1],
    )


def _posterior_gains(
    estimate: FloatArray, other: FloatArray, truth: FloatArray, known: AxisPrior, noise: float
) -> tuple[float, float, float]:
    """Returns gain and cross gain of one axis, and the standard deviation of the gain.

    They are the maximum a posteriori estimate of truth = gain * estimate + cross * other + bias,
    with a free bias. ``estimate``, ``other`` (the estimate of the other axis) and ``truth`` are
    [K], radians; ``noise`` is the standard deviation of the error.
    """
    features = np.stack([estimate - estimate.mean(), other - other.mean()], axis=1) / noise
    precision = np.array([1 / known.spread**2, 1 / known.cross**2])
    weight = features.T @ features + np.diag(precision)
    moment = features.T @ (truth - truth.mean()) / noise + precision * (known.gain, 0.0)
    gain, cross = np.linalg.solve(weight, moment)
    return float(gain), float(cross), math.sqrt(float(np.linalg.inv(weight)[0, 0]))
