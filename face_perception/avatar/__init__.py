"""Mouth shapes, expression and gaze -> a face on the robot's screen. Knows no topics and no audio
devices.
"""

from face_perception.avatar.interfaces import Animator, FaceState, Renderer
from face_perception.avatar.life import LivingFace
from face_perception.avatar.picture import PortraitError
from face_perception.avatar.portrait import Portrait, load_portrait

__all__ = [
    "Animator",
    "FaceState",
    "LivingFace",
    "Portrait",
    "PortraitError",
    "Renderer",
    "load_portrait",
]
