"""Makes the annotations that Foxglove draws over an image. Imports foxglove_msgs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foxglove_msgs.msg import Color, ImageAnnotations, Point2, PointsAnnotation, TextAnnotation

from face_perception import overlay

TYPE = ImageAnnotations
_FONT_SIZE = 12.0  # pixels
_HALF = 0.5  # our pixel centres are at integers; Foxglove's (0, 0) is the corner of the image


def message(
    lines: Sequence[overlay.Line], labels: Sequence[overlay.Label], stamp: Any
) -> ImageAnnotations:
    """Returns the message of lines and labels in the image of ``stamp``."""
    return ImageAnnotations(
        points=[
            PointsAnnotation(
                timestamp=stamp,
                type=PointsAnnotation.LINE_LOOP if line.closed else PointsAnnotation.LINE_STRIP,
                points=_points(line.points),
                outline_color=_colour(line.colour),
                thickness=float(line.width),
            )
            for line in lines
        ],
        texts=[
            TextAnnotation(
                timestamp=stamp,
                position=_points([label.place])[0],
                text=label.text,
                font_size=_FONT_SIZE,
                text_color=_colour((0, 0, 0)),
                background_color=_colour(label.colour),
            )
            for label in labels
        ],
    )


def _points(pixels: Any) -> list[Any]:
    return [Point2(x=float(x) + _HALF, y=float(y) + _HALF) for x, y in pixels]


def _colour(colour: tuple[int, int, int]) -> Any:
    red, green, blue = (value / 255 for value in colour)
    return Color(r=red, g=green, b=blue, a=1.0)
