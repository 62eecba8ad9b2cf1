"""Gaze from landmarks and head pose alone: iris rays on an eyeball. Reads no pixels."""

from __future__ import annotations

import math

import numpy as np

from face_perception.gaze.eyes import (
    Look,
    awake,
    facing,
    find_looks,
    opened,
    origin_of,
    usable_pose,
    visibility,
)
from face_perception.gaze.steady import SteadyGaze
from face_perception.types import Camera, Face, FloatArray, Gaze

GEOMETRIC = "geometric"
# Of the arithmetic here and in `eyes`. Raise it whenever that makes another gaze of the same face:
# what people's gaze was off by before is applied no more.
_REVISION = "1"
_DISAGREEMENT = math.radians(20)  # of the two eyes, that halves the confidence


class GeometricGaze(SteadyGaze):
    """Gaze of faces from their landmarks and head pose, with a memory for each face id.

    The centre of each eyeball lies behind the measured canthi, along the head; the ray through the
    centre of the iris meets the eyeball in front of it; the direction from centre to there is the
    gaze of that eye. The two eyes are averaged by how well they are seen, and smoothed (one-euro).
    While both eyes are closed, hidden or turned away the last direction is held, ``valid`` false.
    Settings as of ``SteadyGaze``.
    """

    name = GEOMETRIC
    revision = _REVISION

    def estimate(self, camera: Camera, face: Face, stamp: float) -> Gaze:
        """Gaze of ``face`` seen by ``camera`` at ``stamp`` seconds; once an image and face.

        ``origin`` is between the centres of the eyeballs. Direction and origin are NaN where there
        is nothing to go by: no pose, or eyes outside the image, and nothing held from before.
        ``confidence`` in [0, 1] falls with small, closing or disagreeing eyes and a turned head; it
        is a rank, not a probability. Raises ValueError for an unknown lens distortion.
        """
        level = self.meet(face.id, stamp)
        pose = usable_pose(face)
        looks = [] if pose is None else find_looks(camera, face, pose)
        open_eyes = awake(looks, level)
        front = 0.0 if pose is None else facing(pose)
        valid = bool(open_eyes) and front >= self.min_facing
        held = self.held(face.id)
        if valid:
            direction = self.smoothed(face.id, stamp, _mean(open_eyes))
        elif held is not None:
            direction = held
        else:
            direction = _mean(looks) if looks else np.full(3, np.nan)
        return Gaze(
            face_id=face.id,
            origin=np.full(3, np.nan) if pose is None else origin_of(looks, pose),
            direction=direction,
            confidence=face.confidence * front * _confidence(open_eyes) if valid else 0.0,
            valid=valid,
            source=GEOMETRIC,
        )


def _mean(looks: list[Look]) -> FloatArray:
    """Mean direction; the noise of an eye's direction goes with one over its width."""
    total = np.zeros(3)
    for look in looks:
        total += look.width**2 * opened(look) * look.direction
    length = float(np.linalg.norm(total))
    return total / length if length > 0 else np.full(3, np.nan)


def _confidence(looks: list[Look]) -> float:
    seen = visibility(looks)
    if len(looks) < 2:
        return seen
    cosine = float(looks[0].direction @ looks[1].direction)
    apart = math.acos(max(-1.0, min(1.0, cosine)))
    return seen / (1 + (apart / _DISAGREEMENT) ** 2)
