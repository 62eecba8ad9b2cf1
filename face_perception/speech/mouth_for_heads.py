"""Converts mouth shapes to what other heads use: ARKit's blendshapes and Oculus's visemes."""

from __future__ import annotations

import numpy as np

from face_perception.speech.articulation import target_of
from face_perception.speech.mouth_shapes import MouthShape
from face_perception.types import BLENDSHAPES, FloatArray

# Oculus's visemes in their order, each with the phoneme whose mouth shape stands for it; empty: at
# rest.
_PHONEMES = {
    **{"sil": "", "PP": "p", "FF": "f", "TH": "θ", "DD": "t", "kk": "k", "CH": "ʃ", "SS": "s"},
    **{"nn": "n", "RR": "ɹ", "aa": "ɑ", "E": "ɛ", "ih": "ɪ", "oh": "o", "ou": "u"},
}
VISEMES = tuple(_PHONEMES)
# Distance of two mouth shapes at which they count as different: half of that between /s/ and /t/.
_WIDTH = 0.12
_TARGETS = np.array([target_of(phoneme) for phoneme in _PHONEMES.values()])


def blendshapes_of(shape: MouthShape) -> FloatArray:
    """Returns strengths [52] in [0, 1] in the order of ``types.BLENDSHAPES``.

    Those that are not of the mouth are 0. ``mouthClose`` is large where the lips are closed while
    the jaw is dropped, as ARKit defines it.

    >>> made = dict(zip(BLENDSHAPES, blendshapes_of(MouthShape(jaw=0.5, press=1.0)), strict=True))
    >>> float(made["jawOpen"]), float(made["mouthClose"])
    (0.5, 0.5)
    """
    both = {
        "mouthStretch": shape.wide,
        "mouthPress": 0.5 * shape.press,
        "mouthUpperUp": 0.5 * shape.teeth,
        "mouthLowerDown": 0.5 * shape.teeth,
    }
    strengths = {
        "jawOpen": shape.jaw,
        "mouthClose": shape.jaw * shape.press,
        "mouthPucker": shape.round * (1 - 0.5 * shape.jaw),
        "mouthFunnel": shape.round * shape.jaw,
        "mouthRollLower": shape.tuck,
        **{f"{name}{side}": value for name, value in both.items() for side in ("Left", "Right")},
    }
    return np.array([strengths.get(name, 0.0) for name in BLENDSHAPES])


def visemes_of(shape: MouthShape) -> FloatArray:
    """Returns strengths [15] of ``VISEMES``, which add up to 1.

    They come from the shape of the mouth: sounds that look alike share the strength.

    >>> VISEMES[int(visemes_of(MouthShape(press=1.0)).argmax())]
    'PP'
    """
    away = np.linalg.norm(_TARGETS - shape.values(), axis=1)
    near = np.exp(-0.5 * ((away - away.min()) / _WIDTH) ** 2)
    strengths: FloatArray = near / near.sum()
    return strengths
