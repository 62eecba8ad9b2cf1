"""Where the eyes of a face on a screen must look to meet a point that the robot's camera sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

from face_perception.errors import InputError


def direction_to(point: Sequence[float], eyes: Sequence[float]) -> tuple[float, float]:
    """Yaw and pitch, radians in the picture's frame, from the ``eyes`` on the screen to ``point``,
    both [3] in the camera's optical frame, metres.

    The screen is taken to face the way the camera does. Who stands to the right in the camera's
    image stands to the left of the picture: they face each other. Raises InputError for a point
    that is not before the screen.
    """
    x, y, z = (float(p) - float(e) for p, e in zip(point, eyes, strict=True))
    if not all(map(math.isfinite, (x, y, z))) or z <= 0:
        raise InputError(
            f"the point ({x:.2f}, {y:.2f}, {z:.2f}) m from the eyes is not before the screen"
        )
    return math.atan2(-x, z), math.atan2(-y, math.hypot(x, z))
