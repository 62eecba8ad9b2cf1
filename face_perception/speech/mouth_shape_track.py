"""Mouth shapes that came one by one, asked for at any time: interpolated, and eased to rest after
the last. And what every mouth checks about its samples.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.mouth_shapes import REST, MouthShape

FloatArray = npt.NDArray[np.floating]

_KEPT = 60.0  # seconds that can be asked for
_EASE = 0.12  # seconds from the last known shape to rest


class MouthShapeTrack:
    """Final shapes, ``period`` seconds apart from time zero on."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._kept: deque[FloatArray] = deque(maxlen=round(_KEPT / period))
        self._count = 0

    def append(self, weights: FloatArray) -> None:
        """The next shape, [6] in the order of ``MouthShape``."""
        self._kept.append(weights)
        self._count += 1

    def at(self, time: float) -> MouthShape:
        """The shape at ``time`` seconds; rest before all that is kept."""
        at = time / self._period
        if not at >= 0 or self._count == 0:
            return REST
        last = self._count - 1
        first = self._count - len(self._kept)
        if at >= last:
            left = max(0.0, 1 - (at - last) * self._period / _EASE)
            return _shape(self._kept[-1] * left)
        if at < first:
            return REST
        i = int(at)
        a, b = self._kept[i - first], self._kept[i + 1 - first]
        return _shape(a + (at - i) * (b - a))


def checked_samples(samples: AudioSamples) -> AudioSamples:
    """The samples in [-1, 1], what is not finite as silence. Raises InputError for another shape
    or type than float32 [N].
    """
    array = np.asarray(samples)
    if array.ndim != 1 or array.dtype != np.float32:
        raise InputError(
            f"speech must be float32 [N], mono, 16 kHz, not {array.dtype} "
            f"{list(array.shape)}: mix down, divide int16 by 32768"
        )
    made: AudioSamples = np.clip(np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0), -1, 1)
    return made


def _shape(weights: FloatArray) -> MouthShape:
    return MouthShape(*(float(w) for w in np.clip(weights, 0, 1)))
