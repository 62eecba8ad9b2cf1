"""How far the irises of one portrait have to go to be read right: measured on what it renders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from face_perception.avatar.anatomy import Anatomy
from face_perception.avatar.eyes import FURTHER, iris_shift, irises
from face_perception.avatar.interfaces import FaceState
from face_perception.faces import FaceTracker
from face_perception.types import Camera, Frame, Image

FloatArray = npt.NDArray[np.floating]

# A look that is measured, radians: far enough to stand out from the landmarks' noise.
_YAW, _PITCH = 0.26, 0.15
_LEAST, _MOST = 1.0, 2.2
_UNREAD = 0.1  # of the way: landmarks that do not follow say nothing about how far to go


def further(
    render: Callable[[FaceState], Image], tracker: FaceTracker, face: Anatomy, gaze: FloatArray
) -> FloatArray:
    """``Eye.further`` for the eyes of a portrait that are rendered with FURTHER now.

    Landmarks lag behind dark eyes and behind spectacles more than behind others, and on a head that
    is turned they do so more to one side. ``gaze``: where the picture looks, yaw and pitch [2].
    """
    rest = _read(render(FaceState()), tracker, face)
    out = FURTHER.copy()
    if rest is None:
        return out
    for axis, side, turn in (
        (0, 0, (_YAW, 0.0)),
        (0, 1, (-_YAW, 0.0)),
        (1, 0, (0.0, -_PITCH)),
        (1, 1, (0.0, _PITCH)),
    ):
        state = FaceState(gaze_yaw=float(gaze[0]) + turn[0], gaze_pitch=float(gaze[1]) + turn[1])
        seen = _read(render(state), tracker, face)
        if seen is None:
            continue
        wanted = iris_shift(gaze + turn, gaze)[axis]
        share = float((seen - rest)[axis] / wanted)
        if share > _UNREAD:
            out[axis, side] = np.clip(out[axis, side] / share, _LEAST, _MOST)
    return out


def _read(image: Image, tracker: FaceTracker, face: Anatomy) -> FloatArray | None:
    height, width = image.shape[:2]
    found = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)))
    return irises(face, found[0].landmarks) if len(found) == 1 else None
