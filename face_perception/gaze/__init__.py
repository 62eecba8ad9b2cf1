"""Where a face looks: origin and direction in the camera's optical frame."""

from face_perception.gaze.geometric import GeometricGaze

__all__ = ["GeometricGaze"]
