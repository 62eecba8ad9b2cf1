"""Mouth shapes, expression and gaze -> a face on the robot's screen. Knows no topics and no audio
devices.
"""

from face_perception.avatar.interfaces import (
    MOUTH_RATE,
    REST,
    Animator,
    FaceState,
    Mouth,
    MouthShape,
    Renderer,
    Samples,
)

__all__ = [
    "MOUTH_RATE",
    "REST",
    "Animator",
    "FaceState",
    "Mouth",
    "MouthShape",
    "Renderer",
    "Samples",
]
