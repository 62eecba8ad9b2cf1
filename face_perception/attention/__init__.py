"""Who attends to the robot, who looks at whom, and how engaged they are. Needs no pixels."""

from face_perception.attention.attention_tracker import AttentionSettings, AttentionTracker
from face_perception.attention.engagement import TRANSITIONS

__all__ = [
    "TRANSITIONS",
    "AttentionSettings",
    "AttentionTracker",
]
