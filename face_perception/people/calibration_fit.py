"""Fits one person's gaze calibration to samples of known targets, or refuses them.

Angles are yaw and pitch in the normalized camera (see ``gaze.normalized_camera``), radians. The
result is a ``Correction``: gain and bias for each axis, and a term for the upper lid if it helps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from face_perception.gaze import NETWORK_PRIOR, EstimatorPrior
from face_perception.people.calibration_extension import KnownLook, extended_means, looks_of
from face_perception.people.calibration_samples import (
    CalibrationRefused,
    CalibrationSamples,
    TargetMeans,
    TargetRefused,
    check_plausible,
    degrees,
    mean_offset,
    means_of,
    named,
    standard_error,
    steady,
)
from face_perception.people.correction import Correction
from face_perception.people.shrunk_regression import (
    MIN_TARGETS_FOR_GAIN,
    best_fit,
    errors_of,
    spans_of,
)
from face_perception.types import FloatArray

MIN_SAMPLES = 10
# Largest residuals after the fit: of one target, and the mean over targets. On 56 people with one
# picture of each of five targets at (0, 0) and (+-15, +-10) degrees (Columbia Gaze) the medians are
# 4.3 and 2.6 degrees. Two to five people are refused, because the mesh misplaced their irises in
# one picture. A target 25 degrees away from its stated position exceeds the limits in 80 % of
# cases.
_MAX_RESIDUAL, _MAX_MEAN_RESIDUAL = math.radians(12.5), math.radians(8)
# Smallest movement of the gaze between targets, as a share of the distance between them. It is 1
# for the average person and 0 for somebody who always looks at the same place.
_FOLLOWS = 0.3
# A residual counts as worse if it exceeds the previous one by this factor and this angle.
_WORSE, _NO_MATTER = 1.05, math.radians(0.05)
_PRIOR_TARGETS = 4.0  # weight of the population's residual, in held-out targets
_MEAN_RADIUS = math.sqrt(math.pi / 2)  # mean length of a 2-D normal vector with sigma 1


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A correction and the quality of its fit. Angles are radians.

    - ``spread``: standard deviation, on each axis, of the gaze in single images.
    - ``before``: mean angle between the samples and their targets without the correction.
    - ``expected_residual``: expected mean error of a corrected gaze. It is computed from held-out
      targets and the population, never from the fitted samples.
    - ``samples``, ``targets``: numbers of samples and targets that were used.
    - ``looks``: the mean look at each of these targets.
    - ``left_out``: why one target does not count; empty if all do.
    - ``least_residual``: value below which ``expected_residual`` must not fall, also when the
      calibration is extended; 0 if no target was left out.

    >>> from face_perception.people import describe_fit
    >>> measured = [[math.radians(3 + 0.2 * (k % 2)), 0.0] for k in range(20)]
    >>> fit = fit_calibration(CalibrationSamples.from_arrays(measured, np.zeros((20, 2))))
    >>> round(math.degrees(fit.before), 1), fit.samples  # 3.1 degrees off without the correction
    (3.1, 20)
    >>> print(describe_fit(fit, NETWORK_PRIOR))
    from 20 samples of 1 target: bias -3.1° in yaw and ...
    """

    correction: Correction
    spread: float
    before: float
    expected_residual: float
    samples: int
    targets: int
    looks: tuple[KnownLook, ...] = ()
    left_out: str = ""
    least_residual: float = 0.0


def fit_calibration(
    samples: CalibrationSamples,
    prior: EstimatorPrior = NETWORK_PRIOR,
    names: Sequence[str] = (),
    earlier: Sequence[KnownLook] = (),
    least_residual: float = 0.0,
) -> CalibrationFit:
    """Fits the correction of one person's gaze to ``samples``.

    ``samples`` should include all images with open eyes, also those in which the person seems to
    look elsewhere. ``prior`` is that of the estimator. ``names`` are the names of the targets, for
    messages. ``earlier`` looks of the same person at other targets, or at the same ones, are fitted
    together with ``samples``. The expected residual is at least ``least_residual`` (radians), that
    of the fit which gave these looks.

    With four targets or more, each axis along which the targets differ enough gets a gain and a
    bias: the maximum a posteriori estimate given ``prior``. Other axes get a bias and the gain
    ``AxisPrior.cautious``. The term of the upper lid is used if it reduces the error of held-out
    targets.

    Raises CalibrationRefused if there are too few samples, if the person looked elsewhere, looked
    at two places or did not follow the targets, if the targets do not agree after the fit, or if
    the calibration would make the gaze worse. If one target is the reason, and at least four others
    give a calibration without it, that target is left out instead (``CalibrationFit.left_out``).
    The expected residual is then at least ``prior.residual``, that of the population after one
    target (5.2 degrees for the geometric estimator), because the gaze of such people is read worse:
    the mean error after such a calibration was 5.0 degrees on simulated people and 6.0 degrees on
    three people of Columbia Gaze.

    >>> measured = [[math.radians(3 + 0.2 * (k % 2)), 0.0] for k in range(20)]  # 3.1 degrees off
    >>> fit = fit_calibration(CalibrationSamples.from_arrays(measured, np.zeros((20, 2))))
    >>> round(math.degrees(fit.correction.bias_yaw), 1), fit.targets
    (-3.1, 1)
    """
    try:
        return _fit_all(samples, prior, names, earlier, least_residual)
    except TargetRefused as refused:
        others = samples.without(refused.target)
        if earlier or len(np.unique(others.targets)) < MIN_TARGETS_FOR_GAIN:
            raise
        try:
            fit = _fit_all(others, prior, names, (), max(least_residual, prior.residual))
        except CalibrationRefused:
            raise refused from None
        return replace(fit, left_out=str(refused))


def _fit_all(
    samples: CalibrationSamples,
    prior: EstimatorPrior,
    names: Sequence[str],
    earlier: Sequence[KnownLook],
    least: float,
) -> CalibrationFit:
    """Returns the fit of ``fit_calibration`` to all targets. Raises CalibrationRefused.

    The expected residual is at least ``least``, radians.
    """
    if len(samples.estimates) < MIN_SAMPLES:
        raise CalibrationRefused(
            f"{len(samples.estimates)} usable samples are too few, {MIN_SAMPLES} are needed: face "
            "the camera with open eyes and in good light for longer"
        )
    check_plausible(samples, prior, names)
    near, centres = steady(samples, names)
    kept = int(near.sum())
    if kept < MIN_SAMPLES:
        raise CalibrationRefused(
            f"only {kept} samples agree, {MIN_SAMPLES} are needed: look steadily at the target"
        )
    means = extended_means(earlier, means_of(samples, near))
    if names:
        names = [*("an earlier target" for _ in earlier), *names]
    _check_followed(means, prior)
    correction, held_out = best_fit(means, prior)
    spread = math.sqrt(float(np.mean([found.spread**2 for found in centres])))
    error = standard_error(samples, near, centres)
    before = mean_offset(samples, near)
    shaken = math.hypot(spread, error)
    residual = _expected_residual(held_out, spans_of(means), shaken, prior)
    # The error of a look at the targets is proportional to the expected residual: on Columbia Gaze
    # the error of the half of the people with the larger expected residual (4.8 against 3.1
    # degrees) is 1.6 times as large.
    usual = prior.residual_with_gain if len(held_out) >= MIN_TARGETS_FOR_GAIN else prior.residual
    expected = max(residual, least)
    sigma = prior.noise * expected / usual * math.sqrt(1 + 1 / len(means.targets))
    correction = replace(
        correction,
        sigma_yaw=max(sigma * prior.yaw.share, spread),
        sigma_pitch=max(sigma * prior.pitch.share, spread),
    )
    _check_fit(means, correction, names)
    if len(held_out):
        uncorrected = _uncorrected_error(earlier, before, means)
        _check_held_out(held_out, uncorrected, residual, error, means, names)
    elif _MEAN_RADIUS * shaken > _WORSE * before + _NO_MATTER:
        raise CalibrationRefused(
            f"calibrating would make the gaze worse: it is {degrees(before)} away from the target, "
            f"and {kept} samples are too few to show in which direction: take more samples, or do "
            "not calibrate"
        )
    return CalibrationFit(
        correction,
        spread,
        before,
        expected,
        kept,
        len(means.targets),
        looks_of(means),
        least_residual=least,
    )


def _check_followed(means: TargetMeans, prior: EstimatorPrior) -> None:
    """Raises CalibrationRefused if the gaze did not move with the targets."""
    truths = means.truths - means.truths.mean(0)
    extent = float(np.linalg.norm(truths))
    if not extent > 0:
        return
    gain = np.array([prior.yaw.gain, prior.pitch.gain])
    moved = gain * (means.estimates - means.estimates.mean(0))
    followed = float((moved * truths).sum()) / extent**2
    # If the targets are close together, noise alone can hide that the gaze followed them.
    if followed < min(_FOLLOWS, 1 - 3 * prior.noise / extent):
        raise CalibrationRefused(
            f"the gaze did not follow the targets: it moved by {max(followed, 0):.0%} of the "
            "distance between them; look at each target when you are asked to, and check the "
            "positions of the targets"
        )


def _uncorrected_error(earlier: Sequence[KnownLook], before: float, means: TargetMeans) -> float:
    """Returns the mean error of the uncorrected gaze at all targets of ``means``, radians.

    ``before`` is that of the targets that are not among the ``earlier`` looks.
    """
    off = [math.hypot(look.true_yaw - look.yaw, look.true_pitch - look.pitch) for look in earlier]
    return (sum(off) + before * (len(means.targets) - len(off))) / len(means.targets)


def _expected_residual(
    held_out: FloatArray, with_gain: tuple[bool, bool], shaken: float, prior: EstimatorPrior
) -> float:
    """Returns the expected mean error of a corrected gaze, radians.

    ``held_out`` [K, 2] are the errors of held-out targets, ``with_gain`` tells which axes (yaw,
    pitch) have this person's own gain, ``shaken`` is the standard deviation of the samples on each
    axis.

    For an axis with its own gain the error is a weighted mean of the population's residual and that
    of the held-out targets. The targets do not show errors along the other axes. There the error is
    this weighted mean or the population's residual after one target, whichever is larger. The
    result is never below the noise of the samples.
    """
    own = prior.residual_with_gain
    if len(held_out):
        of_person = float(np.linalg.norm(held_out, axis=1).mean())
        count = len(held_out)
        own = (_PRIOR_TARGETS * own + count * of_person) / (_PRIOR_TARGETS + count)
    axes = [own if gained else max(own, prior.residual) for gained in with_gain]
    return max(math.hypot(*axes) / math.sqrt(2), _MEAN_RADIUS * shaken)


def _check_fit(means: TargetMeans, correction: Correction, names: Sequence[str]) -> None:
    """Raises TargetRefused, for the worst target, if the targets do not agree after the fit."""
    off = np.linalg.norm(errors_of(means, correction), axis=1)
    worst = int(off.argmax())
    if off[worst] > _MAX_RESIDUAL or off.mean() > _MAX_MEAN_RESIDUAL:
        raise TargetRefused(
            f"the gaze at {named(int(means.targets[worst]), names)} is "
            f"{degrees(float(off[worst]))} away from it after the fit: look at each target, and "
            "check its position",
            int(means.targets[worst]),
        )


def _check_held_out(
    held_out: FloatArray,
    before: float,
    residual: float,
    error: float,
    means: TargetMeans,
    names: Sequence[str],
) -> None:
    """Raises TargetRefused, for the worst target, if held-out targets have larger errors."""
    if len(held_out) < MIN_TARGETS_FOR_GAIN:
        return
    off = np.linalg.norm(held_out, axis=1)
    after = float(off.mean())
    if after > before + max(2 * error, 0.1 * before) and after > residual:
        worst = int(means.targets[int(off.argmax())])
        raise TargetRefused(
            f"calibrating would make the gaze worse: its error would be {degrees(after)} instead "
            f"of {degrees(before)}, most of it at {named(worst, names)}; look at each target when "
            "you are asked to",
            worst,
        )
