"""Draws the results of perception on an image. Leaves out results that are missing or NaN."""

from face_perception.overlay.drawing import draw
from face_perception.overlay.shapes import (
    Label,
    Line,
    Ray,
    annotation_shapes,
    landmark_points,
    rays,
)

__all__ = [
    "Label",
    "Line",
    "Ray",
    "annotation_shapes",
    "draw",
    "landmark_points",
    "rays",
]
