"""Defines a screen, which shows frames and may play sound. Contains values and a protocol only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar.interfaces import FaceState
from face_perception.types import Image

_JPEG_QUALITY = 85  # percent


@dataclass
class ScreenFrame:
    """A rendered frame and the time at which it is to be shown.

    - ``number``: counts frames on the player's timeline.
    - ``image``: RGB uint8 [H, W, 3]; None if there is no renderer.
    - ``position``: the audio that is heard with it, seconds on the player's timeline.
    - ``at``: the time of that, seconds of the computer's monotonic clock.
    - ``state``: the face, for screens that draw it themselves.

    >>> frame = ScreenFrame(3, np.zeros((8, 8, 3), np.uint8), position=0.1, at=1200.1)
    >>> len(frame.jpeg()) > 100, frame.jpeg() is frame.jpeg()  # encoded once for all screens
    (True, True)
    """

    number: int
    image: Image | None
    position: float
    at: float
    state: FaceState = field(default_factory=FaceState)
    _jpeg: bytes = field(default=b"", repr=False)

    def jpeg(self) -> bytes:
        """Returns the image as JPEG. It is encoded once for all screens."""
        if not self._jpeg and self.image is not None:
            pixels = cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR)
            _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            self._jpeg = data.tobytes()
        return self._jpeg


class Screen(Protocol):
    """Shows frames. ``show_frame`` and ``play_audio`` return at once; a screen that is too slow
    drops frames and counts them.

    A screen that keeps the frames, for example to write a video:

    >>> class RecordingScreen:
    ...     wanted, problem = True, ""
    ...     def __init__(self):
    ...         self.frames = []
    ...     def show_frame(self, frame):
    ...         self.frames.append(frame.image)
    ...     def play_audio(self, position, samples):
    ...         pass
    ...     def close(self):
    ...         pass
    >>> screen = RecordingScreen()  # performer.screens = [screen]
    >>> screen.show_frame(ScreenFrame(0, np.zeros((8, 8, 3), np.uint8), position=0.0, at=0.0))
    >>> len(screen.frames)
    1
    """

    @property
    def wanted(self) -> bool:
        """Returns whether anybody is watching. Frames are rendered only if a screen wants them."""
        ...

    @property
    def problem(self) -> str:
        """Returns what is wrong, with the fix; empty if nothing is."""
        ...

    def show_frame(self, frame: ScreenFrame) -> None:
        """Shows a frame now."""
        ...

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        """Plays speech, float32 [N], if this screen has sound.

        ``position`` is that of the first sample, seconds on the player's timeline.
        """
        ...

    def close(self) -> None:
        """Closes the screen and releases its resources."""
        ...
