"""Interpolates mouth shapes over time."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from face_perception.speech.mouth_shapes import REST, MouthShape

FloatArray = npt.NDArray[np.floating]

_KEPT = 60.0  # seconds of shapes that are kept
_EASE = 0.12  # seconds from the last known shape to rest


class MouthShapeTrack:
    """Keeps final shapes that are ``period`` seconds apart, the first at time 0.

    Forgets shapes that are more than a minute older than the last.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._kept: deque[FloatArray] = deque(maxlen=round(_KEPT / period))
        self._count = 0

    def append(self, weights: FloatArray) -> None:
        """Adds the next shape: weights [6] in the order of ``MouthShape``."""
        self._kept.append(weights)
        self._count += 1

    def __len__(self) -> int:
        """Returns how many shapes were added, those that are forgotten included."""
        return self._count

    def __getitem__(self, index: int) -> FloatArray:
        """Returns the weights [6] of shape ``index``. Raises IndexError if it is not kept."""
        at = index - (self._count - len(self._kept))
        if at < 0:
            raise IndexError(f"shape {index} is not kept any more")
        return self._kept[at]

    def at(self, time: float) -> MouthShape:
        """Returns the shape at ``time`` (seconds).

        Interpolates linearly between shapes, eases to rest after the last one, and returns
        ``REST`` before the first one that is kept.
        """
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


def _shape(weights: FloatArray) -> MouthShape:
    return MouthShape(*(float(w) for w in np.clip(weights, 0, 1)))
