"""Estimates what each person looks at (the robot, another face, neither) and their engagement."""

from face_perception.attention.attention_tracker import AttentionSettings, AttentionTracker

__all__ = [
    "AttentionSettings",
    "AttentionTracker",
]
