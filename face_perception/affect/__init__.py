"""How a face moves and what it expresses: action units, expression, valence and arousal."""

from face_perception.affect.action_units import LandmarkActionUnits

__all__ = ["LandmarkActionUnits"]
