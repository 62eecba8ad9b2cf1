"""How a face looks that feels something: expression classes or valence and arousal -> brows, lids,
corners of the mouth. Still: the easing is in ``life``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import EXPRESSIONS

FloatArray = npt.NDArray[np.float64]

# Columns of a mood, each as in FaceState; the last is a jaw that drops, shown in silence only.
CHANNELS = ("smile", "inner_brow", "outer_brow", "lids", "head_pitch", "jaw")

# The prototypes of FACS (EMFACS), at the strength of somebody who talks to you, not of an actor.
_PROTOTYPES: dict[str, tuple[float, ...]] = {
    "neutral": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "angry": (-0.30, -0.90, -0.20, -0.35, -0.03, 0.0),  # AU4, 7, 23
    "disgusted": (-0.45, -0.55, -0.10, -0.50, 0.02, 0.0),  # AU9, 15
    "scared": (-0.25, 0.80, 0.35, 0.70, 0.02, 0.10),  # AU1, 2, 5, 26
    "happy": (0.85, 0.10, 0.15, -0.12, 0.02, 0.0),  # AU6, 12
    "sad": (-0.75, 0.75, -0.15, -0.35, -0.05, 0.0),  # AU1, 15
    "surprised": (0.0, 0.75, 0.85, 0.65, 0.03, 0.25),  # AU1, 2, 5, 26
}
_TABLE = np.array([_PROTOTYPES[name] for name in EXPRESSIONS])


def blend_expression(probability: npt.ArrayLike) -> FloatArray:
    """[6] channels of a mood from probabilities [7] in the order of ``types.EXPRESSIONS``.

    Raises InputError for another length or a value outside [0, 1].
    """
    values = np.asarray(probability, np.float64)
    if values.shape != (len(EXPRESSIONS),) or not ((values >= 0) & (values <= 1)).all():
        raise InputError(
            f"an expression must be {len(EXPRESSIONS)} numbers in [0, 1], for "
            f"{', '.join(EXPRESSIONS)}; not {np.array2string(values, precision=3)}"
        )
    return np.asarray(values @ _TABLE / max(float(values.sum()), 1.0))


def blend_valence_arousal(valence: float, arousal: float) -> FloatArray:
    """[6] channels of a mood from valence and arousal, each in [-1, 1].

    Raises InputError for others. Valence is the mouth; what is bad and exciting lowers the brows,
    what is bad and quiet raises their inner ends; arousal opens the eyes.
    """
    v, a = float(valence), float(arousal)
    if not (-1 <= v <= 1 and -1 <= a <= 1):
        raise InputError(f"valence and arousal must be in [-1, 1], not {valence} and {arousal}")
    bad, good = max(-v, 0.0), max(v, 0.0)
    up, down = max(a, 0.0), max(-a, 0.0)
    return np.array(
        [
            0.85 * good - 0.75 * bad,
            0.8 * bad * (down - up) + 0.3 * up * good,
            0.5 * up * (1 - bad) - 0.2 * bad * up,
            0.5 * up * (1 - 0.8 * bad) - 0.35 * down - 0.3 * bad * up,
            0.02 * good - 0.05 * bad * down,
            0.0,
        ]
    )
