"""Estimates what each person looks at (the robot, another face, neither) and their engagement."""

from face_perception.attention.attention_tracker import (
    HEAD_POSE,
    AttentionSettings,
    AttentionTracker,
)

__all__ = [
    "HEAD_POSE",
    "AttentionSettings",
    "AttentionTracker",
]
