"""How a face moves and what it expresses: action units, expression, valence and arousal."""

from face_perception.affect.action_units import LandmarkActionUnits
from face_perception.affect.expression import ExpressionNet, SmoothExpressions
from face_perception.affect.multitask import (
    Decoder,
    FaceAffect,
    MultitaskNet,
    MultitaskSequence,
    load_multitask,
)
from face_perception.affect.valence_arousal import derive_valence_arousal

__all__ = [
    "Decoder",
    "ExpressionNet",
    "FaceAffect",
    "LandmarkActionUnits",
    "MultitaskNet",
    "MultitaskSequence",
    "SmoothExpressions",
    "derive_valence_arousal",
    "load_multitask",
]
