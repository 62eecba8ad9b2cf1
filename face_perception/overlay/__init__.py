"""Draws the results of perception on an image. Leaves out results that are missing or NaN."""

from face_perception.overlay.drawing import draw

__all__ = [
    "draw",
]
