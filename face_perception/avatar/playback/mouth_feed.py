"""Speech on its way to the mouth: as much of it as the next images need."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from face_perception.speech import MOUTH_RATE, Mouth

_READY = 1.0  # seconds of speech that the mouth knows beyond what it needs


class MouthFeed:
    """Gives ``mouth`` its speech little by little: it keeps only the last of it, and no image is
    made while it hears. For one thread.
    """

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth
        self._waiting: deque[npt.NDArray[np.float32]] = deque()
        self._fed = 0  # samples that the mouth has heard

    def reset(self) -> None:
        """The mouth forgets the speech, and what it has not heard yet is dropped."""
        self._mouth.reset()
        self._waiting.clear()
        self._fed = 0

    def queue_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """More speech [N] at MOUTH_RATE, for later."""
        self._waiting.append(samples)

    def feed_until(self, time: float) -> None:
        """What the mouth needs for ``time`` seconds of the speech, and a little more."""
        left = round((time + self._mouth.look_ahead + _READY) * MOUTH_RATE) - self._fed
        while self._waiting and left > 0:
            piece = self._waiting.popleft()
            if len(piece) > left:
                self._waiting.appendleft(piece[left:])
            self._mouth.push_samples(piece[:left])
            taken = min(len(piece), left)
            self._fed += taken
            left -= taken
