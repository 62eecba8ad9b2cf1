"""What a screen is: somewhere that frames, and perhaps sound, go to. Values and a protocol only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

_QUALITY = 85


@dataclass
class ScreenFrame:
    """One frame on its way to the screens: RGB uint8 [H, W, 3], and when it is to be seen.

    ``position`` is the audio, in seconds on the player's timeline, that is heard with it; ``at``
    the monotonic time of that.
    """

    number: int
    image: Image
    position: float
    at: float
    _jpeg: bytes = field(default=b"", repr=False)

    def jpeg(self) -> bytes:
        """The image as JPEG, encoded once for all screens."""
        if not self._jpeg:
            pixels = cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR)
            _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            self._jpeg = data.tobytes()
        return self._jpeg


class Screen(Protocol):
    """Somewhere that frames go to. ``show`` and ``hear`` return at once: what a screen cannot show
    in time it drops, and counts.
    """

    @property
    def wanted(self) -> bool:
        """Whether anybody looks: frames that nobody wants are not rendered."""
        ...

    @property
    def problem(self) -> str:
        """What is wrong, with the fix; empty where nothing is."""
        ...

    def show_frame(self, frame: ScreenFrame) -> None:
        """Shows a frame, now."""
        ...

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        """Speech that is heard at a position of the player's timeline, for screens with sound."""
        ...

    def close(self) -> None:
        """Lets go of what it holds."""
        ...
