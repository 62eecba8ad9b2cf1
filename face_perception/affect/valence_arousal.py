"""Derives valence and arousal from expression probabilities, without a network."""

from __future__ import annotations

import math

import numpy as np

from face_perception.types import EXPRESSIONS, NAN, Expression, ValenceArousal

# Valence and arousal of each expression on the circumplex (Russell 1980), chosen by hand.
_ANCHORS = {
    "neutral": (0.0, 0.0),
    "angry": (-0.6, 0.65),
    "disgusted": (-0.65, 0.35),
    "scared": (-0.55, 0.7),
    "happy": (0.75, 0.35),
    "sad": (-0.65, -0.35),
    "surprised": (0.2, 0.75),
}
_ANCHOR_POINTS = np.array([_ANCHORS[name] for name in EXPRESSIONS])


def derive_valence_arousal(expression: Expression) -> ValenceArousal:
    """Returns the mean of the expressions' points on the circumplex, weighted by probability.

    Valence is within [-0.65, 0.75] and arousal within [-0.35, 0.75]: no point is further out. Both
    are NaN if a probability is not finite. The confidence is that of the expression; ``source`` is
    "derived".

    >>> happy = Expression("face_1", "example", np.eye(7)[EXPRESSIONS.index("happy")], 1.0)
    >>> found = derive_valence_arousal(happy)
    >>> found.valence, found.arousal, found.source
    (0.75, 0.35, 'derived')
    """
    valence, arousal = (float(v) for v in expression.probability @ _ANCHOR_POINTS)
    if not (math.isfinite(valence) and math.isfinite(arousal)):
        valence = arousal = NAN
    return ValenceArousal(
        face_id=expression.face_id,
        source="derived",
        valence=valence,
        arousal=arousal,
        confidence=expression.confidence,
        person_id=expression.person_id,
    )
