"""Mouth shapes, expression and gaze -> a face on the robot's screen. Knows no topics and no audio
devices.
"""

from face_perception.avatar.interfaces import Animator, FaceState, Renderer

__all__ = ["Animator", "FaceState", "Renderer"]
