"""Estimates what each person looks at (the robot, another face, neither) and their engagement."""

from face_perception.attention.attention_tracker import (
    HEAD_POSE,
    AttentionSettings,
    AttentionTracker,
    eyes_midpoint,
)
from face_perception.attention.look_at import (
    SPEAKER,
    LookAt,
    LookAtSettings,
    check_look_at,
)

__all__ = [
    "HEAD_POSE",
    "SPEAKER",
    "AttentionSettings",
    "AttentionTracker",
    "LookAt",
    "LookAtSettings",
    "check_look_at",
    "eyes_midpoint",
]
