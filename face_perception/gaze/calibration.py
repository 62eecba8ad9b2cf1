"""What one person's gaze is off by with one estimator: robustly, or not at all. Numbers only.

gaze = estimate + the person's bias, each as yaw and pitch in the normalised camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.types import FloatArray

MIN_SAMPLES = 10

# Beyond this many spreads from the centre a sample weighs nothing (Tukey's biweight; about 95 % of
# the mean's efficiency in two dimensions), and beyond this many it counts as looking elsewhere
# (1 in 500 of a normal distribution does).
_CUT = 5.5
_ELSEWHERE = 3.5
# The spread that the cuts are made with: less is what smoothing makes of few images, more would
# take two places for one.
_MIN_SCALE, _MAX_SCALE = math.radians(0.5), math.radians(3.5)
# The spread is read from the nearest two fifths: half of the samples may lie elsewhere.
_SHARE = 0.4
_SHARE_RADIUS = math.sqrt(-2 * math.log(1 - _SHARE))  # of a normal distribution on two axes
_MEAN_RADIUS = math.sqrt(math.pi / 2)

_MAX_BIAS = math.radians(15)  # five times what people differ by
_MAX_SPREAD = math.radians(4)
_MAX_ELSEWHERE = 0.3  # nine images of thirty: blinks that went unnoticed, and outliers
# A residual this much above what there was is worse; less is rounding, or no matter.
_WORSE, _NO_MATTER = 1.05, math.radians(0.05)
_MAX_DISAGREEMENT = math.radians(8)  # of one target with all of them

# Two places: this far apart, in angle and in spreads, the lesser with this share, and worth this
# much log-likelihood more than one.
_APART, _APART_SPREADS, _LESSER = math.radians(4), 2.5, 0.2
_TWO_PLACES = 7.0
_MIN_FOR_TWO = 12


class CalibrationRefused(ValueError):
    """Samples that no calibration may rest on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Bias:
    """What is added to an estimate: yaw and pitch, radians, in the normalised camera.

    ``spread`` is the standard deviation of one image's gaze on each axis, ``error`` that of the
    bias itself; ``before`` the mean angle of the samples to their targets without it; ``samples``
    those that it rests on.
    """

    yaw: float
    pitch: float
    spread: float
    error: float
    before: float
    samples: int

    @property
    def expected_residual(self) -> float:
        """Mean angle, radians, by which one calibrated gaze is expected to be off."""
        return _MEAN_RADIUS * math.hypot(self.spread, self.error)


def axis_error(expected_residual: float) -> float:
    """Standard deviation on each axis of an error whose mean angle this is, radians."""
    return expected_residual / _MEAN_RADIUS


@dataclass(frozen=True, slots=True)
class Centre:
    """A robust centre [2] of samples, their spread on each axis, and which [N] are near it."""

    at: FloatArray
    spread: float
    near: npt.NDArray[np.bool_]


def centre(offsets: FloatArray) -> Centre:
    """Tukey's biweight of ``offsets`` [N, 2], radians, from their geometric median; N > 0.

    A redescending M-estimator: what is far away weighs nothing, the rest nearly as in a mean.
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
    return Centre(at, math.sqrt(float(squares.sum()) / free), near)


def find_bias(offsets: FloatArray, targets: npt.NDArray[np.int_] | None = None) -> Bias:
    """The bias that explains ``offsets`` [N, 2], truth minus estimate as yaw and pitch in radians.

    All samples with open eyes, in the order of time, also those in which the person seems to have
    looked elsewhere; ``targets`` [N] says which target each belongs to. Raises CalibrationRefused
    where there are too few, where the person looked elsewhere or at two places, where targets
    disagree, and where a calibration would be worse than none.
    """
    offsets = np.asarray(offsets, np.float64).reshape(-1, 2)
    targets = np.zeros(len(offsets), np.int_) if targets is None else np.asarray(targets)
    if len(offsets) < MIN_SAMPLES:
        raise CalibrationRefused(
            f"{len(offsets)} usable samples are too few, {MIN_SAMPLES} are needed: face the "
            "camera with open eyes, in good light, for longer"
        )
    found = centre(offsets)
    _check_targets(offsets, targets, found)
    _check_attention(offsets, targets, found)
    kept = int(found.near.sum())
    if kept < MIN_SAMPLES:
        raise CalibrationRefused(
            f"only {kept} samples agree, {MIN_SAMPLES} are needed: look steadily at the target"
        )
    if found.spread > _MAX_SPREAD:
        raise CalibrationRefused(
            f"the gaze is spread by {_degrees(found.spread)}, more than {_degrees(_MAX_SPREAD)}: "
            "look steadily, come nearer, or give the face more light"
        )
    size = float(np.linalg.norm(found.at))
    if size > _MAX_BIAS:
        raise CalibrationRefused(
            f"the gaze is {_degrees(size)} beside the target, more than people differ by "
            f"({_degrees(_MAX_BIAS)}): look at the target, and check camera_info and its frame"
        )
    error = found.spread * math.sqrt(_repetition(offsets[found.near] - found.at) / kept)
    _check_gain(offsets, targets, error)
    bias = Bias(
        yaw=float(found.at[0]),
        pitch=float(found.at[1]),
        spread=found.spread,
        error=error,
        before=float(np.linalg.norm(offsets[found.near], axis=1).mean()),
        samples=kept,
    )
    if bias.expected_residual > _WORSE * bias.before + _NO_MATTER:
        raise CalibrationRefused(
            f"calibrating would make it worse: the gaze is {_degrees(bias.before)} beside the "
            f"target, and {kept} samples are too few to say in which direction: take more, or "
            "leave it as it is"
        )
    return bias


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle):.1f}°"


def _geometric_median(points: FloatArray) -> FloatArray:
    """Weiszfeld's iteration: half of the points must be wrong before it is."""
    at: FloatArray = np.asarray(np.median(points, axis=0))
    for _ in range(30):
        weights = 1 / np.maximum(np.linalg.norm(points - at, axis=1), 1e-6)
        moved: FloatArray = weights @ points / weights.sum()
        if np.abs(moved - at).max() < 1e-5:
            return moved
        at = moved
    return at


def _check_attention(offsets: FloatArray, targets: npt.NDArray[np.int_], found: Centre) -> None:
    parts = [offsets[targets == target] for target in np.unique(targets)]
    if any(len(part) < _MIN_FOR_TWO for part in parts):
        parts = [offsets]
    for part in parts:
        apart = two_places(part)
        if apart > 0:
            raise CalibrationRefused(
                f"the person looked at two places, {_degrees(apart)} apart: look at the target "
                "all the time"
            )
    elsewhere = 1 - float(found.near.mean())
    if elsewhere > _MAX_ELSEWHERE:
        raise CalibrationRefused(
            f"the person looked elsewhere in {elsewhere:.0%} of the images: look at the target "
            "all the time"
        )


def two_places(offsets: FloatArray) -> float:
    """How far apart, radians, the two places are that ``offsets`` [N, 2] come from; 0 if one.

    Two normal distributions of one spread against one, both over a background of anything (the
    outliers), by their likelihoods, fitted with EM from halves along the longest axis.
    """
    if len(offsets) < _MIN_FOR_TWO:
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
    if apart < max(_APART, _APART_SPREADS * spread) or shares.min() < _LESSER:
        return 0.0
    return apart


_BACKGROUND = 0.1 / math.radians(60) ** 2  # share of outliers, over as wide a field


def _fit(offsets: FloatArray, centres: FloatArray) -> tuple[float, FloatArray, FloatArray, float]:
    """EM: (log-likelihood, centres [K, 2], shares [K], spread on each axis)."""
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


def _check_targets(offsets: FloatArray, targets: npt.NDArray[np.int_], found: Centre) -> None:
    present = np.unique(targets)
    for target in present if len(present) > 1 else ():
        own = centre(offsets[targets == target]).at
        off = float(np.linalg.norm(own - found.at))
        if off > _MAX_DISAGREEMENT:
            raise CalibrationRefused(
                f"target {target} disagrees with the others by {_degrees(off)}: was it looked at, "
                "and is its place right?"
            )


def _repetition(residuals: FloatArray) -> float:
    """How many samples count as one: neighbours in time repeat each other where the estimator
    smooths. From the correlation of neighbours, 1 where that may be chance.
    """
    square = float((residuals**2).sum())
    if len(residuals) < 3 or not square > 0:
        return 1.0
    correlation = float((residuals[1:] * residuals[:-1]).sum()) / square
    if correlation < 2 / math.sqrt(2 * len(residuals)):
        return 1.0
    return (1 + correlation) / max(1 - correlation, 0.05)


def _check_gain(offsets: FloatArray, targets: npt.NDArray[np.int_], error: float) -> None:
    """Refuses what does not help on samples that it was not made from: a target at a time where
    there are several, else a fifth.
    """
    parts = targets if len(np.unique(targets)) > 1 else np.arange(len(offsets)) % 5
    left = np.empty(len(offsets))
    for part in np.unique(parts):
        out = parts == part
        left[out] = np.linalg.norm(offsets[out] - centre(offsets[~out]).at, axis=1)
    after, before = float(np.median(left)), float(np.median(np.linalg.norm(offsets, axis=1)))
    if after > before + max(2 * error, 0.1 * before):
        raise CalibrationRefused(
            f"calibrating would make it worse: {_degrees(after)} off instead of "
            f"{_degrees(before)}; look at each target while it is asked for"
        )
