"""Computes the confidence of all affect networks from the probabilities that they give."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.types import NAN

_TINY = 1e-12


def entropy_confidence(probability: npt.ArrayLike) -> float:
    """Returns 1 - H / log N, where H is the entropy of ``probability`` [N].

    1: one class is certain; 0: all classes are equally likely; NaN: a probability is not finite.
    """
    p = np.asarray(probability, np.float64)
    if not np.isfinite(p).all():
        return NAN
    p = np.clip(p, _TINY, 1.0)
    return min(1.0, max(0.0, 1 + float((p * np.log(p)).sum()) / math.log(len(p))))
