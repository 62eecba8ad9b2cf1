"""Draws what was perceived onto an image. Values and pixels in, pixels out: no network, no ROS.

Everything is optional: what is missing or NaN is not drawn.
"""

from face_perception.overlay.drawing import draw

__all__ = [
    "draw",
]
