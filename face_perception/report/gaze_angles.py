"""Computes where a person's gaze falls, relative to the camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from face_perception.geometry import yaw_pitch
from face_perception.results import Sample
from face_perception.types import FloatArray

_FEWEST = 10  # samples of an ellipse


@dataclass(frozen=True)
class Ellipse:
    """Distribution of gaze angles: centre [2], and semi-axes [2] and rotation of one sd, degrees.

    The first axis is turned by ``rotation`` from the horizontal, anticlockwise. ``samples`` is the
    number of frames.
    """

    centre: FloatArray
    axes: FloatArray
    rotation: float
    samples: int


def camera_offsets(samples: Sequence[Sample]) -> FloatArray:
    """Returns yaw and pitch [n, 2] of each gaze less those of the line to the camera, degrees.

    Samples without a valid gaze are left out. (0, 0) is a look into the lens.
    """
    found = []
    for sample in samples:
        eyes = np.array(sample.eyes_at)
        distance = float(np.linalg.norm(eyes))
        if sample.gaze_valid and np.isfinite(sample.gaze_yaw) and distance > 0:
            yaw, pitch = yaw_pitch(-eyes / distance)
            found.append((sample.gaze_yaw - yaw, sample.gaze_pitch - pitch))
    return np.degrees(np.array(found, np.float64).reshape(-1, 2))


def ellipse_of(offsets: FloatArray) -> Ellipse | None:
    """Returns the ellipse of one standard deviation of angles [n, 2]; None for too few."""
    if len(offsets) < _FEWEST:
        return None
    variances, directions = np.linalg.eigh(np.cov(offsets.T))
    x, y = directions[:, -1]
    return Ellipse(
        offsets.mean(0),
        np.sqrt(np.maximum(variances[::-1], 0.0)),
        float(np.degrees(np.arctan2(y, x))),
        len(offsets),
    )
