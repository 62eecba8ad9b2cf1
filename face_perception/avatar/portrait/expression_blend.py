"""Converts expression probabilities, or valence and arousal, to brows, lids and mouth corners.

The result is a static face; ``idle_motion`` eases from one to the next.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import EXPRESSIONS

FloatArray = npt.NDArray[np.float64]

# Channels of a blend, with the meaning they have in FaceState. The jaw drops only in silence.
CHANNELS = ("smile", "inner_brow", "outer_brow", "lids", "head_pitch", "jaw")

# The prototypical expressions of FACS (EMFACS), as weak as in a conversation.
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
    """Returns the channels [6] for probabilities [7] in the order of ``types.EXPRESSIONS``.

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
    """Returns the channels [6] for valence and arousal, each in [-1, 1].

    Valence moves the corners of the mouth. Arousal opens the eyes. At negative valence, positive
    arousal lowers the brows and negative arousal raises their inner ends.

    Raises InputError for values outside [-1, 1].
    """
    v, a = float(valence), float(arousal)
    if not (-1 <= v <= 1 and -1 <= a <= 1):
        raise InputError(f"valence and arousal must be in [-1, 1], not {valence} and {arousal}")
    negative, positive = max(-v, 0.0), max(v, 0.0)
    up, down = max(a, 0.0), max(-a, 0.0)
    return np.array(
        [
            0.85 * positive - 0.75 * negative,
            0.8 * negative * (down - up) + 0.3 * up * positive,
            0.5 * up * (1 - negative) - 0.2 * negative * up,
            0.5 * up * (1 - 0.8 * negative) - 0.35 * down - 0.3 * negative * up,
            0.02 * positive - 0.05 * negative * down,
            0.0,
        ]
    )
