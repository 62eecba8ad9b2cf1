"""Computes where a face on a screen must look to meet a point that the robot's camera sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

from face_perception.errors import InputError


def direction_to(point: Sequence[float], eyes: Sequence[float]) -> tuple[float, float]:
    """Returns the gaze direction from the ``eyes`` on the screen to ``point``.

    Both are [3] in metres in the camera's optical frame. The result is yaw and pitch in radians in
    the picture's frame. The screen is assumed to face the same way as the camera, so image left
    and right are swapped: a person on the right of the camera's image is to the left of the face.

    Raises InputError if the point is not finite or not in front of the screen.

    >>> yaw, pitch = direction_to((0.5, 0.0, 1.0), eyes=(0.0, 0.0, 0.0))
    >>> round(yaw, 3), round(abs(pitch), 3)
    (-0.464, 0.0)
    """
    x, y, z = (float(p) - float(e) for p, e in zip(point, eyes, strict=True))
    if not all(map(math.isfinite, (x, y, z))) or z <= 0:
        raise InputError(
            f"the point ({x:.2f}, {y:.2f}, {z:.2f}) m relative to the eyes is not in front of the "
            "screen: its z must be positive in the camera's optical frame"
        )
    return math.atan2(-x, z), math.atan2(-y, math.hypot(x, z))
