"""Statistics of accuracy: intervals, rank and class measures, calibration error, agreement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval; ``n`` samples in ``groups`` (0: single ones)."""

    value: float
    low: float
    high: float
    n: int
    groups: int = 0


def bootstrap(
    figure: Callable[[Array], float],
    n: int,
    groups: Sequence[Hashable] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Returns ``figure`` of the samples 0 to ``n`` - 1, with its interval.

    The interval is that of the percentile bootstrap (Efron 1979).

    ``figure`` takes indices of samples, which may repeat, and may return NaN if a draw does not
    define it. ``groups`` [n] names the person of each sample. Whole people are then drawn, because
    samples of one person are not independent. Raises ValueError without samples.
    """
    if n < 1:
        raise ValueError("a figure needs at least one sample")
    every = np.arange(n)
    random = np.random.default_rng(seed)
    if groups is None:
        drawn = [figure(random.integers(0, n, n)) for _ in range(draws if n > 1 else 0)]
        parts = 0
    else:
        names: dict[Hashable, list[int]] = {}
        for i, group in enumerate(groups):
            names.setdefault(group, []).append(i)
        members = [np.array(own) for own in names.values()]
        parts = len(members)
        drawn = [
            figure(np.concatenate([members[k] for k in random.integers(0, parts, parts)]))
            for _ in range(draws if parts > 1 else 0)
        ]
    finite = np.array([v for v in drawn if np.isfinite(v)])
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (np.nan, np.nan)
    return Estimate(float(figure(every)), float(low), float(high), n, parts)


def mean(values: npt.ArrayLike, groups: Sequence[Hashable] | None = None) -> Estimate:
    """Returns the mean of ``values`` [N] with its interval. Booleans give a share."""
    array = np.asarray(values, np.float64)
    return bootstrap(lambda i: float(array[i].mean()), len(array), groups)


def mean_of_people(values: npt.ArrayLike, groups: Sequence[Hashable]) -> Estimate:
    """Returns the mean of the means of each person, so that all people count equally."""
    array = np.asarray(values, np.float64)
    names = list(dict.fromkeys(groups))
    own = np.array([array[[g == name for g in groups]].mean() for name in names])
    found = bootstrap(lambda i: float(own[i].mean()), len(own))
    return Estimate(found.value, found.low, found.high, len(array), len(own))


def auc(score: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Returns the area under the ROC curve.

    It is the probability that a positive scores above a negative; a tie counts half. Leaves out
    samples whose score is NaN. NaN if one class has no sample.
    """
    scores, labels = np.asarray(score, np.float64), np.asarray(label, bool)
    known = np.isfinite(scores)
    scores, labels = scores[known], labels[known]
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not (positive and negative):
        return float("nan")
    ranks = _ranks(scores)
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _ranks(values: Array) -> Array:
    """Returns ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def macro_f1(truth: npt.ArrayLike, said: npt.ArrayLike, classes: Sequence[Hashable]) -> float:
    """Returns the mean F1 of ``classes``, without those that neither occur nor are predicted."""
    t, s = np.asarray(truth), np.asarray(said)
    scores = []
    for one in classes:
        right = int(((t == one) & (s == one)).sum())
        total = int((t == one).sum() + (s == one).sum())
        if total:
            scores.append(2 * right / total)
    return float(np.mean(scores)) if scores else float("nan")


def balanced_accuracy(
    truth: npt.ArrayLike, said: npt.ArrayLike, classes: Sequence[Hashable]
) -> float:
    """Returns the mean recall over the classes that occur."""
    t, s = np.asarray(truth), np.asarray(said)
    shares = [float((s[t == one] == one).mean()) for one in classes if (t == one).any()]
    return float(np.mean(shares)) if shares else float("nan")


def confusion(
    truth: npt.ArrayLike, said: npt.ArrayLike, classes: Sequence[Hashable]
) -> list[list[int]]:
    """Returns counts: a row for each true class, a column for each predicted class."""
    t, s = np.asarray(truth), np.asarray(said)
    return [[int(((t == a) & (s == b)).sum()) for b in classes] for a in classes]


def calibration_error(said: npt.ArrayLike, happened: npt.ArrayLike, bins: int = 10) -> float:
    """Returns the expected calibration error (Naeini et al., AAAI 2015).

    It is the mean gap between the stated probability and the share that came true, over equally
    wide bins, weighted by their samples.
    """
    rows = reliability(said, happened, bins)
    total = sum(row["n"] for row in rows)
    gaps = sum(row["n"] * abs(row["said"] - row["seen"]) for row in rows)
    return float(gaps / total) if total else float("nan")


def reliability(
    said: npt.ArrayLike, happened: npt.ArrayLike, bins: int = 10
) -> list[dict[str, float]]:
    """Returns each non-empty bin of [0, 1].

    A bin has the mean stated probability ``said``, the share ``seen`` that came true, and ``n``.
    """
    p, y = np.asarray(said, np.float64), np.asarray(happened, np.float64)
    known = np.isfinite(p)
    p, y = p[known], y[known]
    place = np.minimum((p * bins).astype(int), bins - 1)
    return [
        {
            "said": float(p[place == k].mean()),
            "seen": float(y[place == k].mean()),
            "n": int((place == k).sum()),
        }
        for k in range(bins)
        if (place == k).any()
    ]


def ccc(said: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Returns the concordance correlation coefficient (Lin 1989), with population variances.

    NaN if both are the same constant.
    """
    x, y = np.asarray(said, np.float64), np.asarray(truth, np.float64)
    gap = x.mean() - y.mean()
    x, y = _centred(x), _centred(y)
    spread = float((x * x).mean() + (y * y).mean() + gap**2)
    return float(2 * (x * y).mean() / spread) if spread else float("nan")


def _centred(values: Array) -> Array:
    """Returns ``values`` [N] minus their mean; 0 for equal values, whose mean is rounded."""
    same = not len(values) or np.ptp(values) == 0
    return np.zeros_like(values) if same else values - values.mean()


def slope(truth: npt.ArrayLike, estimate: npt.ArrayLike) -> float:
    """Returns the slope of the least-squares line of the estimate on the truth.

    It is NaN if the truth has a single value.
    """
    t = _centred(np.asarray(truth, np.float64))
    e = np.asarray(estimate, np.float64)
    square = float((t * t).sum())
    return float((t * e).sum() / square) if square else float("nan")


def correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Returns Pearson's correlation of two arrays [N]; NaN if one of them is constant or empty."""
    x, y = _centred(np.asarray(a, np.float64)), _centred(np.asarray(b, np.float64))
    square = float((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / np.sqrt(square)) if square else float("nan")


def consistency(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Returns ICC(3,1) of two raters [N]: single measures, consistency (Shrout, Fleiss 1979).

    A constant difference between the raters does not lower it. NaN if both are constant, or for
    fewer than two values.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < 2:
        return float("nan")
    between = 2 * float((_centred((x + y) / 2) ** 2).sum()) / (len(x) - 1)
    within = float((_centred(x - y) ** 2).sum()) / 2 / (len(x) - 1)
    total = between + within
    return (between - within) / total if total else float("nan")
