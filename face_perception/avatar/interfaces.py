"""What the parts of the talking face hand to each other: face states, and who makes and draws them.

Values and protocols only; another renderer plugs in here. Mouth shapes are speech's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from face_perception.speech import REST, MouthShape
from face_perception.types import Image


@dataclass(frozen=True, slots=True)
class FaceState:
    """All that a renderer needs for one image.

    Angles in radians in the picture's frame, as everywhere in the package: yaw positive towards
    image right, pitch positive up, roll positive clockwise; (0, 0) looks at the viewer.

    - ``smile``: corners of the mouth, [-1, 1]: 1 a broad smile (AU12), -1 drawn down (AU15).
    - ``inner_brow``, ``outer_brow``: [-1, 1]: 1 raised (AU1, AU2), -1 lowered and drawn together
      (AU4).
    - ``lids``: [-1, 1]: 0 as in the picture, 1 wide open (AU5), -1 narrowed (AU7).
    - ``blink``: [0, 1]: 1 shut (AU45); on top of ``lids``.
    - ``gaze_yaw``, ``gaze_pitch``: where the eyes look, whatever the head does.
    - ``head_yaw``, ``head_pitch``, ``head_roll``: of the head against the picture's own; a renderer
      may limit them.
    """

    mouth: MouthShape = REST
    smile: float = 0.0
    inner_brow: float = 0.0
    outer_brow: float = 0.0
    lids: float = 0.0
    blink: float = 0.0
    gaze_yaw: float = 0.0
    gaze_pitch: float = 0.0
    head_yaw: float = 0.0
    head_pitch: float = 0.0
    head_roll: float = 0.0


class Renderer(Protocol):
    """A face on a picture. For one thread."""

    size: tuple[int, int]  # width, height in pixels

    def render(self, state: FaceState) -> Image:
        """RGB uint8 [height, width, 3], a new array; depends on ``state`` alone."""
        ...


class SpeechListener(Protocol):
    """A renderer that hears the speech itself is told of it by the performer, on its thread."""

    def append_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """More speech, float32 [N] mono at 16 kHz."""
        ...

    def end_utterance(self) -> None:
        """An utterance ends with what was pushed last; the next one follows on."""
        ...

    def reset_speech(self) -> None:
        """The speech so far is given up; the next sample is at time zero."""
        ...

    def announce_frame(self, number: int, time: float | None) -> None:
        """The number of the frame that is rendered next, and the time in the speech then: negative
        shortly before it begins, None where none is known to come.
        """
        ...


class Animator(Protocol):
    """Makes a face live: from what is said, felt and looked at to a ``FaceState``. For one thread.

    Built with a ``seed``: the same calls give the same states.
    """

    def set_expression(self, probability: npt.ArrayLike | None) -> None:
        """The expression to show, from now on: [7] in the order of ``types.EXPRESSIONS``, each in
        [0, 1]; None for neutral. Eased in and out.
        """
        ...

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        """The same from valence and arousal, each in [-1, 1]."""
        ...

    def look_at(self, yaw: float, pitch: float) -> None:
        """Where to look, from now on, radians in the picture's frame; (0, 0) is the viewer."""
        ...

    def state_at(self, time: float, mouth: MouthShape, speaking: bool) -> FaceState:
        """The state at ``time`` seconds (any clock that does not go back), once an image."""
        ...
