"""Fits one person's gaze calibration from samples of known targets, or refuses them. Numbers only.

Angles are yaw and pitch in the normalised camera (see ``normalised``), radians. A ``Correction``
turns an estimator's angles into the person's: gain and bias for each axis, and a term for the upper
lid if it helps. ``collection`` collects the samples, ``people_store`` stores calibrations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from face_perception.gaze.lids import LidCue
from face_perception.gaze.robust import Centre, centre, repetition, two_places
from face_perception.gaze_target import LookError
from face_perception.types import FloatArray

MIN_SAMPLES = 10
# From this many targets on, an axis over which they spread far enough gets a gain.
MIN_TARGETS_FOR_GAIN = 4
_MIN_SPAN = math.radians(6)

_MAX_SPREAD = math.radians(5)
_MAX_ELSEWHERE = 0.3  # share of samples; unnoticed blinks and outliers are fewer than this
_MIN_FOR_TWO = 12  # samples of a target that a test for two places needs
# Largest residuals after the fit: of a single target, and the mean over targets. On 56 people with
# one picture of each of five targets at (0, 0) and (+-15, +-10) degrees (Columbia Gaze) the medians
# are 4.3 and 2.6 degrees. Two to five people are refused, because the mesh misread their eyes in
# one picture. A target 25 degrees beside its stated place exceeds the limits in 80 % of cases.
_MAX_RESIDUAL, _MAX_MEAN_RESIDUAL = math.radians(12.5), math.radians(8)
_IMPLAUSIBLE = 4.5  # standard deviations of the differences between people
# Least share of the way between the targets that the gaze must move: the average person has 1,
# somebody who always looks at the same place 0.
_FOLLOWS = 0.3
# A residual counts as worse if it exceeds the previous one by this factor and this angle.
_WORSE, _NO_MATTER = 1.05, math.radians(0.05)
_PRIOR_TARGETS = 4.0  # weight of the population's residual, in held-out targets
_MEAN_RADIUS = math.sqrt(math.pi / 2)  # mean length of a 2-D normal vector of unit spread


class CalibrationRefused(ValueError):
    """The samples are not good enough for a calibration; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class AxisPrior:
    """Prior of one axis of an estimator: how people differ, before a person is calibrated.

    Per person, truth = gain * estimate + bias: ``gain`` and ``spread`` are the mean and standard
    deviation over people of the gain, ``bias`` the standard deviation of the bias, radians.
    ``cautious`` is the gain that is applied if the targets cannot show the person's own gain.
    Without calibration, estimate = ``scale`` * truth with an error of standard deviation ``sigma``,
    radians, for a look at the camera; ``scale_sigma`` is the standard deviation over people of
    ``scale``. ``share`` is the error of a look at a calibration target over the estimator's
    ``noise``, and ``cross`` the standard deviation over people of the other axis' influence on this
    one.
    """

    gain: float = 1.0
    spread: float = 0.1
    bias: float = math.radians(5)
    cautious: float = 1.0
    scale: float = 1.0
    scale_sigma: float = 0.1
    sigma: float = math.radians(5)
    share: float = 1.0
    cross: float = 0.05


@dataclass(frozen=True, slots=True)
class EstimatorPrior:
    """Prior of an estimator: how its gaze differs between people; radians.

    ``noise`` is the standard deviation on each axis of one person's error about gain and bias.
    ``residual`` and ``residual_with_gain`` are the mean errors after calibration with one target
    and with five. ``lid_gain`` is the change of pitch per unit of upper lid height, in a fit whose
    gain of pitch has the prior ``pitch_with_lids``; 0: lids add nothing to this estimator.
    """

    yaw: AxisPrior = AxisPrior()
    pitch: AxisPrior = AxisPrior()
    noise: float = math.radians(2.0)
    residual: float = math.radians(3.0)
    residual_with_gain: float = math.radians(3.0)
    lid_gain: float = 0.0
    pitch_with_lids: float = 1.0


NETWORK_PRIOR = EstimatorPrior()  # for a network that was trained on gaze: its gain is right


_NO_LIDS = LidCue(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Correction:
    """Turns an estimator's yaw and pitch into one person's; radians, in the normalised camera.

    yaw = gain_yaw * yaw + cross_yaw * pitch + bias_yaw, and pitch likewise, plus ``lid_gain`` times
    the upper lid's height above ``lids.upper``, faded out where an expression moves the lids (see
    ``LidCue``).
    ``sigma_yaw`` and ``sigma_pitch`` are the standard deviations of the error of a look at the mean
    of the calibration targets (``centre_yaw``, ``centre_pitch``, of the estimate). Away from it the
    corrected angle moves by ``slope`` times the true one, for an average person; the slope's
    standard deviation over people is ``slope_yaw_sigma`` and ``slope_pitch_sigma``.
    """

    bias_yaw: float
    bias_pitch: float
    gain_yaw: float = 1.0
    gain_pitch: float = 1.0
    cross_yaw: float = 0.0
    cross_pitch: float = 0.0
    lid_gain: float = 0.0
    lids: LidCue = _NO_LIDS
    sigma_yaw: float = math.radians(2.5)
    sigma_pitch: float = math.radians(2.5)
    centre_yaw: float = 0.0
    centre_pitch: float = 0.0
    slope_yaw: float = 1.0
    slope_pitch: float = 1.0
    slope_yaw_sigma: float = 0.0
    slope_pitch_sigma: float = 0.0

    def apply(self, yaw: float, pitch: float, lids: LidCue | None = None) -> tuple[float, float]:
        """The person's yaw and pitch from the estimator's; ``lids`` are those of the same image."""
        own_yaw = self.gain_yaw * yaw + self.cross_yaw * pitch + self.bias_yaw
        own_pitch = self.gain_pitch * pitch + self.cross_pitch * yaw + self.bias_pitch
        if self.lid_gain and lids is not None:
            own_pitch += self.lid_gain * lids.moved_by_gaze(self.lids)
        return own_yaw, own_pitch

    @property
    def error(self) -> LookError:
        """The error of the corrected angles, radians in the normalised camera."""
        centre_yaw, centre_pitch = self.apply(self.centre_yaw, self.centre_pitch)
        return LookError(
            self.sigma_yaw,
            self.sigma_pitch,
            self.slope_yaw,
            self.slope_pitch,
            self.slope_yaw_sigma,
            self.slope_pitch_sigma,
            centre_yaw,
            centre_pitch,
        )


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A correction and the measures of its fit; radians.

    ``spread`` is the standard deviation of one image's gaze on each axis. ``before`` is the mean
    angle between the samples and their targets without the correction. ``expected_residual`` is the
    expected mean error of a corrected gaze. It comes from held-out targets and the population,
    never from the fitted samples. ``samples`` and ``targets`` are the numbers used in the fit.
    """

    correction: Correction
    spread: float
    before: float
    expected_residual: float
    samples: int
    targets: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples in order of time.

    ``estimates`` and ``truths`` [N, 2] are yaw and pitch, radians; ``targets`` [N] the index of
    each sample's target; ``lids`` [N, 3] the heights of ``LidCue``, NaN if not seen.
    """

    estimates: FloatArray
    truths: FloatArray
    targets: npt.NDArray[np.int_]
    lids: FloatArray

    @classmethod
    def of(
        cls,
        estimates: npt.ArrayLike,
        truths: npt.ArrayLike,
        targets: npt.ArrayLike | None = None,
        lids: npt.ArrayLike | None = None,
    ) -> Samples:
        """From array-likes. Default: one target, and lids that were not seen (NaN)."""
        estimated = np.asarray(estimates, np.float64).reshape(-1, 2)
        count = len(estimated)
        return cls(
            estimated,
            np.asarray(truths, np.float64).reshape(-1, 2),
            np.zeros(count, np.int_) if targets is None else np.asarray(targets, np.int_),
            np.full((count, 3), np.nan) if lids is None else np.asarray(lids, float).reshape(-1, 3),
        )

    def plausible(self, prior: EstimatorPrior) -> npt.NDArray[np.bool_]:
        """Which samples [N] may be looks at their target; the others are looks elsewhere."""
        off = np.zeros(len(self.estimates))
        for axis, known in enumerate((prior.yaw, prior.pitch)):
            estimate = self.estimates[:, axis]
            # Variance between people (gain and bias) plus that of the estimate.
            allowed = known.bias**2 + (known.spread * estimate) ** 2 + prior.noise**2
            off += (self.truths[:, axis] - known.gain * estimate) ** 2 / allowed
        return np.asarray(off <= _IMPLAUSIBLE**2)


def fit_calibration(
    samples: Samples, prior: EstimatorPrior = NETWORK_PRIOR, names: Sequence[str] = ()
) -> CalibrationFit:
    """Fits the correction to ``samples``; messages use ``names``, the names of the targets.

    Give all samples with open eyes, including those in which the person seems to look elsewhere.
    With four targets or more, each axis over which the targets spread gets gain and bias: the
    maximum a posteriori estimate given ``prior``. Other axes get a bias and the prior's cautious
    gain. The lid term is used if it lowers the error of held-out targets.

    Raises CalibrationRefused if there are too few samples, if the person looked elsewhere, looked
    at two places or did not follow the targets, if the targets do not agree after the fit, or if
    the calibration would make the gaze worse.
    """
    if len(samples.estimates) < MIN_SAMPLES:
        raise CalibrationRefused(
            f"{len(samples.estimates)} usable samples are too few, {MIN_SAMPLES} are needed: face "
            "the camera with open eyes, in good light, for longer"
        )
    _check_plausible(samples, prior, names)
    near, centres = _steady(samples)
    kept = int(near.sum())
    if kept < MIN_SAMPLES:
        raise CalibrationRefused(
            f"only {kept} samples agree, {MIN_SAMPLES} are needed: look steadily at the target"
        )
    means = _means(samples, near)
    _check_followed(means, prior)
    correction, held_out = _best_fit(means, prior)
    spread = math.sqrt(float(np.mean([found.spread**2 for found in centres])))
    error = _standard_error(samples, near, centres)
    before = _before(samples, near)
    shaken = math.hypot(spread, error)
    residual = _expected_residual(held_out, _spans(means), shaken, prior)
    # Error of a look at the targets. It is proportional to the promised residual: on Columbia Gaze
    # the half of the people with the larger promise (4.8 against 3.1 degrees) errs 1.6 times as
    # far.
    usual = prior.residual_with_gain if len(held_out) >= MIN_TARGETS_FOR_GAIN else prior.residual
    sigma = prior.noise * residual / usual * math.sqrt(1 + 1 / len(means.targets))
    correction = replace(
        correction,
        sigma_yaw=max(sigma * prior.yaw.share, spread),
        sigma_pitch=max(sigma * prior.pitch.share, spread),
    )
    _check_fit(means, correction, names)
    if len(held_out):
        _check_held_out(held_out, before, residual, error)
    elif _MEAN_RADIUS * shaken > _WORSE * before + _NO_MATTER:
        raise CalibrationRefused(
            f"calibrating would make it worse: the gaze is {_degrees(before)} beside the target, "
            f"and {kept} samples are too few to show in which direction: take more samples, or do "
            "without a calibration"
        )
    return CalibrationFit(correction, spread, before, residual, kept, len(means.targets))


@dataclass(frozen=True, slots=True)
class _Means:
    """One row for each of K targets: index [K], mean estimate and truth [K, 2], lids [K, 3]."""

    targets: npt.NDArray[np.int_]
    estimates: FloatArray
    truths: FloatArray
    lids: FloatArray

    def without(self, row: int) -> _Means:
        keep = np.arange(len(self.targets)) != row
        return _Means(self.targets[keep], self.estimates[keep], self.truths[keep], self.lids[keep])


def _named(target: int, names: Sequence[str]) -> str:
    return f"target {target} ({names[target]})" if names else f"target {target}"


def _check_plausible(samples: Samples, prior: EstimatorPrior, names: Sequence[str]) -> None:
    plausible = samples.plausible(prior)
    for target in np.unique(samples.targets):
        of_target = samples.targets == target
        if plausible[of_target].mean() >= 0.5:
            continue
        off = samples.truths[of_target] - samples.estimates[of_target]
        raise CalibrationRefused(
            f"the gaze is {_degrees(float(np.linalg.norm(np.median(off, axis=0))))} beside "
            f"{_named(target, names)}, more than people differ by: look at the target, and check "
            "its place, camera_info and the frame"
        )


def _check_followed(means: _Means, prior: EstimatorPrior) -> None:
    """Refuses a gaze that did not move with the targets."""
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
            f"the gaze did not follow the targets: it moved by {max(followed, 0):.0%} of the way "
            "between them; look at each target while it is asked for, and check their places"
        )


def _steady(samples: Samples) -> tuple[npt.NDArray[np.bool_], list[Centre]]:
    """Which samples [N] lie near the centre of their target's samples, and each target's centre.

    Raises CalibrationRefused if the person looked elsewhere, at two places, or unsteadily.
    """
    near = np.zeros(len(samples.targets), np.bool_)
    offsets = samples.truths - samples.estimates
    parts = [np.flatnonzero(samples.targets == t) for t in np.unique(samples.targets)]
    centres = [centre(offsets[part]) for part in parts]
    for part, found in zip(parts, centres, strict=True):
        near[part] = found.near
    if any(len(part) < _MIN_FOR_TWO for part in parts):
        # Too few samples of each target: test them together, without their target's mean offset.
        about = offsets.copy()
        for part, found in zip(parts, centres, strict=True):
            about[part] -= found.at
        looked = [offsets if len(parts) == 1 else about]
    else:
        looked = [offsets[part] for part in parts]
    for part_offsets in looked:
        apart = two_places(part_offsets, _MIN_FOR_TWO)
        if apart > 0:
            raise CalibrationRefused(
                f"the person looked at two places, {_degrees(apart)} apart: look at the target "
                "all the time"
            )
    elsewhere = 1 - float(near.mean())
    if elsewhere > _MAX_ELSEWHERE:
        raise CalibrationRefused(
            f"the person looked elsewhere in {elsewhere:.0%} of the images: look at the target "
            "all the time"
        )
    widest = max(found.spread for found in centres)
    if widest > _MAX_SPREAD:
        raise CalibrationRefused(
            f"the gaze is spread by {_degrees(widest)}, more than {_degrees(_MAX_SPREAD)}: "
            "look steadily, come nearer, or give the face more light"
        )
    return near, centres


def _means(samples: Samples, near: npt.NDArray[np.bool_]) -> _Means:
    rows = [near & (samples.targets == t) for t in np.unique(samples.targets)]
    lids = [
        np.median(samples.lids[row], axis=0) for row in rows
    ]  # NaN if the lids were not seen in one of the target's images
    return _Means(
        np.unique(samples.targets),
        np.array([samples.estimates[row].mean(0) for row in rows]),
        np.array([samples.truths[row].mean(0) for row in rows]),
        np.array(lids),
    )


def _best_fit(means: _Means, prior: EstimatorPrior) -> tuple[Correction, FloatArray]:
    """The correction, and the error vector of each target when it is held out.

    Uses the lids if they lower the error of held-out targets. Errors are [K, 2], [0, 2] for one
    target.
    """
    plain = _held_out(means, prior, lids=False)
    if prior.lid_gain and _spans(means)[1] and np.isfinite(means.lids).all():
        helped = _held_out(means, prior, lids=True)
        if np.abs(helped[:, 1]).mean() < np.abs(plain[:, 1]).mean():
            return _fit(means, prior, lids=True), helped
    return _fit(means, prior, lids=False), plain


def _held_out(means: _Means, prior: EstimatorPrior, lids: bool) -> FloatArray:
    count = len(means.targets)
    if count < 2:
        return np.zeros((0, 2))
    spans = _spans(means)
    rows = [
        _errors(means, _fit(means.without(row), prior, lids, spans))[row] for row in range(count)
    ]
    return np.array(rows)


def _errors(means: _Means, correction: Correction) -> FloatArray:
    """Error vectors [K, 2] of the corrected targets, radians."""
    corrected = [
        correction.apply(yaw, pitch, LidCue(*lids))
        for (yaw, pitch), lids in zip(means.estimates.tolist(), means.lids.tolist(), strict=True)
    ]
    return np.array(corrected) - means.truths


def _spans(means: _Means) -> tuple[bool, bool]:
    """Whether the targets spread far enough to show the gain of yaw, and of pitch."""
    if len(means.targets) < MIN_TARGETS_FOR_GAIN:
        return False, False
    yaw, pitch = np.ptp(means.truths, axis=0) >= _MIN_SPAN
    return bool(yaw), bool(pitch)


def _fit(
    means: _Means, prior: EstimatorPrior, lids: bool, spans: tuple[bool, bool] | None = None
) -> Correction:
    with_gain = spans or _spans(means)
    reference = LidCue(*np.mean(means.lids, axis=0).tolist()) if lids else _NO_LIDS
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
            # A regression on estimates with errors gives a gain that is too small by this factor.
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
    """Maximum a posteriori gain of an axis and of the ``other`` axis' influence on it, and the
    standard deviation of the gain. The bias is free.
    """
    features = np.stack([estimate - estimate.mean(), other - other.mean()], axis=1) / noise
    precision = np.array([1 / known.spread**2, 1 / known.cross**2])
    weight = features.T @ features + np.diag(precision)
    moment = features.T @ (truth - truth.mean()) / noise + precision * (known.gain, 0.0)
    gain, cross = np.linalg.solve(weight, moment)
    return float(gain), float(cross), math.sqrt(float(np.linalg.inv(weight)[0, 0]))


def _standard_error(samples: Samples, near: npt.NDArray[np.bool_], centres: list[Centre]) -> float:
    """Standard error of the targets' mean offset, radians. Allows for correlated neighbours."""
    squares = []
    offsets = samples.truths - samples.estimates
    for target, found in zip(np.unique(samples.targets), centres, strict=True):
        residuals = offsets[near & (samples.targets == target)] - found.at
        squares.append(found.spread**2 * repetition(residuals) / max(len(residuals), 1))
    return math.sqrt(sum(squares)) / len(squares)


def _before(samples: Samples, near: npt.NDArray[np.bool_]) -> float:
    return float(np.linalg.norm((samples.truths - samples.estimates)[near], axis=1).mean())


def _expected_residual(
    held_out: FloatArray, with_gain: tuple[bool, bool], shaken: float, prior: EstimatorPrior
) -> float:
    """Expected mean error of a corrected gaze, radians; never less than the samples' spread.

    An axis with the person's own gain has a weighted mean of the population's residual and that of
    this person's held-out targets. Targets that do not spread over an axis say nothing about looks
    along it. The residual of that axis is the population's after one target, or the held-out one if
    that is larger.
    """
    own = prior.residual_with_gain
    if len(held_out):
        of_person = float(np.linalg.norm(held_out, axis=1).mean())
        count = len(held_out)
        own = (_PRIOR_TARGETS * own + count * of_person) / (_PRIOR_TARGETS + count)
    axes = [own if gained else max(own, prior.residual) for gained in with_gain]
    return max(math.hypot(*axes) / math.sqrt(2), _MEAN_RADIUS * shaken)


def _check_fit(means: _Means, correction: Correction, names: Sequence[str]) -> None:
    """Refuses targets that do not agree after the fit."""
    off = np.linalg.norm(_errors(means, correction), axis=1)
    worst = int(off.argmax())
    if off[worst] > _MAX_RESIDUAL or off.mean() > _MAX_MEAN_RESIDUAL:
        raise CalibrationRefused(
            f"{_named(int(means.targets[worst]), names)} is {_degrees(float(off[worst]))} beside "
            "its place after the fit: look at each target, and check its place"
        )


def _check_held_out(held_out: FloatArray, before: float, residual: float, error: float) -> None:
    """Refuses a calibration that makes the gaze at held-out targets worse."""
    if len(held_out) < MIN_TARGETS_FOR_GAIN:
        return
    after = float(np.linalg.norm(held_out, axis=1).mean())
    if after > before + max(2 * error, 0.1 * before) and after > residual:
        raise CalibrationRefused(
            f"calibrating would make it worse: {_degrees(after)} off instead of "
            f"{_degrees(before)}; look at each target while it is asked for"
        )


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle):.1f}°"
