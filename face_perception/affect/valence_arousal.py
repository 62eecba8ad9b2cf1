"""Valence and arousal derived from expression probabilities, in place of a network of its own."""

from __future__ import annotations

import math

import numpy as np

from face_perception.types import EXPRESSIONS, NAN, Expression, ValenceArousal

# Places of the expressions on Russell's circumplex (valence, arousal), set by hand, not fitted.
_ANCHORS = {
    "neutral": (0.0, 0.0),
    "angry": (-0.6, 0.65),
    "disgusted": (-0.65, 0.35),
    "scared": (-0.55, 0.7),
    "happy": (0.75, 0.35),
    "sad": (-0.65, -0.35),
    "surprised": (0.2, 0.75),
}
_PLACES = np.array([_ANCHORS[name] for name in EXPRESSIONS])


def derive_valence_arousal(expression: Expression) -> ValenceArousal:
    """The mean of the expressions' places by their probabilities; ``source`` "derived".

    Bounded by those places: valence in [-0.65, 0.75], arousal in [-0.35, 0.75]. The confidence is
    the expression's: one less the normalised entropy. NaN where the probabilities are not known.
    """
    valence, arousal = (float(v) for v in expression.probability @ _PLACES)
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
