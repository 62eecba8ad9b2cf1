"""How a face moves and what it expresses: action units, expression, valence and arousal."""

from face_perception.affect.action_units import LandmarkActionUnits
from face_perception.affect.blendshapes import BlendshapesNet
from face_perception.affect.expression import ExpressionNet, SmoothExpressions
from face_perception.affect.face_measures import Features, features_of, median_features
from face_perception.affect.multitask import (
    Decoder,
    FaceAffect,
    MultitaskNet,
    MultitaskSequence,
    load_multitask,
)
from face_perception.affect.rate_limit import PacedExpressions
from face_perception.affect.valence_arousal import derive_valence_arousal

__all__ = [
    "BlendshapesNet",
    "Decoder",
    "ExpressionNet",
    "FaceAffect",
    "Features",
    "LandmarkActionUnits",
    "MultitaskNet",
    "MultitaskSequence",
    "PacedExpressions",
    "SmoothExpressions",
    "derive_valence_arousal",
    "features_of",
    "load_multitask",
    "median_features",
]
