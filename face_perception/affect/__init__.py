"""Estimates action units, expression, valence and arousal of faces. No ROS, no torch."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.affect.action_units import LandmarkActionUnits, why_not_neutral
    from face_perception.affect.appearance_units import AppearanceNet, load_appearance
    from face_perception.affect.blendshapes import BlendshapesNet
    from face_perception.affect.estimator import AffectEstimator, CropAffect, load_affect
    from face_perception.affect.expression import (
        SMOOTHING,
        ExpressionNet,
        ExpressionSmoother,
        expression_input,
    )
    from face_perception.affect.face_measures import FaceMeasures, measure_face, median_measures
    from face_perception.affect.multitask import (
        AFFECT_NETWORKS,
        FaceAffect,
        MultitaskNet,
        MultitaskSequence,
        SequenceSettings,
        load_multitask,
    )
    from face_perception.affect.rate_limit import ExpressionSettings, RateLimitedExpressions
    from face_perception.affect.valence_arousal import derive_valence_arousal
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "AFFECT_NETWORKS",
    "SMOOTHING",
    "AffectEstimator",
    "AppearanceNet",
    "BlendshapesNet",
    "CropAffect",
    "ExpressionNet",
    "ExpressionSettings",
    "ExpressionSmoother",
    "FaceAffect",
    "FaceMeasures",
    "LandmarkActionUnits",
    "MultitaskNet",
    "MultitaskSequence",
    "RateLimitedExpressions",
    "SequenceSettings",
    "derive_valence_arousal",
    "expression_input",
    "load_affect",
    "load_appearance",
    "load_multitask",
    "measure_face",
    "median_measures",
    "why_not_neutral",
]
