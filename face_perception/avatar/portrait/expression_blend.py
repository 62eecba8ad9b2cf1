"""Converts expression probabilities, or valence and arousal, to brows, lids and mouth corners.

The result is a static face; ``idle_motion`` eases from one to the next.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import EXPRESSIONS

FloatArray = npt.NDArray[np.float64]

# Channels of a blend, with the meaning they have in FaceState. ``jaw`` and ``teeth`` are those of
# the mouth: they count only in silence.
CHANNELS = (
    "smile", "inner_brow", "outer_brow", "brow_knit", "lids", "cheeks", "nose", "stretch",
    "tighten", "head_pitch", "jaw", "teeth",
)  # fmt: skip

# The prototypical expressions of FACS (EMFACS), strong enough to be named from a metre.
_PROTOTYPES: dict[str, dict[str, float]] = {
    "neutral": {},
    # AU4, 7, 23
    "angry": {
        "smile": -0.40, "inner_brow": -1.0, "outer_brow": 0.15, "brow_knit": 0.9, "lids": -0.35,
        "tighten": 0.9, "head_pitch": -0.04,
    },
    # AU9, 10, 15, 7
    "disgusted": {
        "smile": -0.55, "inner_brow": -0.60, "outer_brow": -0.25, "lids": -0.65, "cheeks": 0.6,
        "nose": 1.0, "head_pitch": 0.04,
    },
    # AU1, 2, 4, 5, 20, 26
    "scared": {
        "smile": -0.35, "inner_brow": 1.0, "outer_brow": 0.25, "brow_knit": 0.9, "lids": 0.9,
        "stretch": 1.0, "head_pitch": 0.03, "jaw": 0.16,
    },
    # AU6, 12
    "happy": {
        "smile": 1.0, "inner_brow": 0.05, "outer_brow": 0.15, "lids": -0.15, "cheeks": 0.7,
        "head_pitch": 0.02, "jaw": 0.05, "teeth": 0.5,
    },
    # AU1, 4, 15
    "sad": {
        "smile": -1.0, "inner_brow": 1.0, "outer_brow": -0.45, "brow_knit": 0.6, "lids": -0.45,
        "head_pitch": -0.09,
    },
    # AU1, 2, 5, 26
    "surprised": {
        "inner_brow": 0.9, "outer_brow": 1.0, "lids": 0.9, "head_pitch": 0.03, "jaw": 0.42,
    },
}  # fmt: skip
_TABLE = np.array(
    [[_PROTOTYPES[name].get(channel, 0.0) for channel in CHANNELS] for name in EXPRESSIONS]
)


def blend_expression(probability: npt.ArrayLike) -> FloatArray:
    """Returns the channels [12] for probabilities [7] in the order of ``types.EXPRESSIONS``.

    Raises InputError if the length is not 7 or a value is outside [0, 1].
    """
    values = np.asarray(probability, np.float64)
    if values.shape != (len(EXPRESSIONS),) or not ((values >= 0) & (values <= 1)).all():
        raise InputError(
            f"an expression must be {len(EXPRESSIONS)} probabilities in [0, 1] "
            f"({', '.join(EXPRESSIONS)}), not {np.array2string(values, precision=3)}"
        )
    return np.asarray(values @ _TABLE / max(float(values.sum()), 1.0))


def blend_valence_arousal(valence: float, arousal: float) -> FloatArray:
    """Returns the channels [12] for valence and arousal, each in [-1, 1].

    Valence moves the corners of the mouth. Arousal opens the eyes. At negative valence, positive
    arousal lowers the brows and negative arousal raises their inner ends.

    Raises InputError for values outside [-1, 1].
    """
    v, a = float(valence), float(arousal)
    if not (-1 <= v <= 1 and -1 <= a <= 1):
        raise InputError(f"valence and arousal must be in [-1, 1], not {valence} and {arousal}")
    negative, positive = max(-v, 0.0), max(v, 0.0)
    up, down = max(a, 0.0), max(-a, 0.0)
    shown = {
        "smile": positive - negative,
        "inner_brow": 0.9 * negative * (down - up) + 0.3 * up * positive,
        "outer_brow": 0.5 * up * (1 - negative) - 0.2 * negative * up,
        "brow_knit": 0.7 * negative * max(down, up),
        "lids": 0.5 * up * (1 - 0.8 * negative) - 0.35 * down - 0.3 * negative * up,
        "cheeks": 0.6 * positive,
        "tighten": 0.6 * negative * up,
        "head_pitch": 0.02 * positive - 0.06 * negative * down,
    }
    return np.array([shown.get(channel, 0.0) for channel in CHANNELS])
