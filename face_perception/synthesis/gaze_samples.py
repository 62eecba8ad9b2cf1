"""Simulated people who are being calibrated: their bias is known, and so is who does not look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face_perception.types import FloatArray

_FIELD = math.radians(40)  # outliers are anywhere within


@dataclass(frozen=True, slots=True)
class GazeSamples:
    """``offsets`` [N, 2], truth minus estimate as yaw and pitch in radians, of the images with open
    eyes; ``bias`` [2] is what they should say.
    """

    bias: FloatArray
    offsets: FloatArray


def gaze_samples(
    random: np.random.Generator,
    images: int = 30,
    *,
    bias: float = math.radians(3),
    noise: float = math.radians(2),
    blinks: float = 0.1,
    outliers: float = 0.05,
    elsewhere: float = 0.0,
    apart: float = 0.0,
    places: int = 1,
) -> GazeSamples:
    """One person who looks at one target.

    ``bias`` and ``noise`` are standard deviations on each axis, radians; ``blinks``, ``outliers``
    and ``elsewhere`` shares of the images. Who looks ``elsewhere`` does so at ``places`` that are
    ``apart`` radians from the target.
    """
    own = random.normal(0, bias, 2)
    offsets = own + random.normal(0, noise, (images, 2))
    angles = random.uniform(0, 2 * math.pi, places)[random.integers(0, places, images)]
    away = random.random(images) < elsewhere
    offsets[away] += apart * np.stack([np.cos(angles), np.sin(angles)], 1)[away]
    wrong = random.random(images) < outliers
    offsets[wrong] = random.uniform(-_FIELD, _FIELD, (int(wrong.sum()), 2))
    return GazeSamples(own, offsets[random.random(images) >= blinks])
