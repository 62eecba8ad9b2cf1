"""Passes speech to the mouth model in small portions, shortly before the frames need it."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from face_perception.speech import MOUTH_RATE, Mouth

_READY = 1.0  # seconds of speech that the mouth knows beyond what it needs


class MouthFeed:
    """Queues speech for ``mouth`` and passes it on little by little. Not thread-safe.

    The mouth keeps only its latest speech, so it must not get a long recording at once; and while
    it processes speech, no frame is rendered.
    """

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth
        self._waiting: deque[npt.NDArray[np.float32]] = deque()
        self._fed = 0  # samples that the mouth has got

    def reset(self) -> None:
        """Resets the mouth and drops the speech that it has not got yet."""
        self._mouth.reset()
        self._waiting.clear()
        self._fed = 0

    def queue_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """Queues speech, float32 [N] at MOUTH_RATE."""
        if len(samples):
            self._waiting.append(samples)

    def feed_until(self, time: float) -> None:
        """Passes on what the mouth needs up to ``time`` seconds of the speech, and one second more.

        Time zero is the first sample since ``reset``.
        """
        left = round((time + self._mouth.look_ahead + _READY) * MOUTH_RATE) - self._fed
        while self._waiting and left > 0:
            piece = self._waiting.popleft()
            if len(piece) > left:
                self._waiting.appendleft(piece[left:])
            self._mouth.push_samples(piece[:left])
            taken = min(len(piece), left)
            self._fed += taken
            left -= taken
