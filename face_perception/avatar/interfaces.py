"""What the parts of the talking face hand to each other: mouth shapes, face states, their makers.

Values and protocols only; a trained mouth or another renderer plugs in here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt

from face_perception.types import Image

Samples = npt.NDArray[np.float32]

MOUTH_RATE = 16_000  # samples a second that every mouth is given


@dataclass(frozen=True, slots=True)
class MouthShape:
    """Weights in [0, 1]; all zero is a mouth at rest, lips closed without effort.

    Each says what the face does (FACS action unit) and in which visemes it is strong. They add up;
    ``press`` alone overrules: it closes the lips however far the jaw is down.

    - ``jaw``: jaw dropped, lips parted (AU26, at 1 nearly AU27): /a/ strong, /e/, /o/ medium.
    - ``wide``: corners drawn apart (AU20): /i/, /e/, and with little jaw /s/.
    - ``round``: lips pushed forward and narrow (AU18, AU22): /u/, /o/, /w/, /sh/.
    - ``press``: lips pressed together (AU24): /m/, /b/, /p/.
    - ``teeth``: upper lip raised, lower lip drawn down, teeth seen (AU10, AU16): /s/, /z/, /t/.
    - ``tuck``: lower lip raised to the upper teeth (AU32): /f/, /v/.
    """

    jaw: float = 0.0
    wide: float = 0.0
    round: float = 0.0
    press: float = 0.0
    teeth: float = 0.0
    tuck: float = 0.0

    def values(self) -> npt.NDArray[np.float64]:
        """All weights in the order of the fields."""
        return np.array([getattr(self, one.name) for one in fields(self)], np.float64)


REST = MouthShape()


class Mouth(Protocol):
    """Speech in, mouth shapes out. For one thread.

    Time is that of the samples: the first sample pushed since ``reset`` is at zero, and sample n at
    n / 16000 seconds, whatever the chunks were.
    """

    look_ahead: float  # seconds of audio after a time that its shape depends on
    frame_period: float  # seconds between two shapes; in between they are interpolated

    def push(self, samples: Samples) -> None:
        """The next samples, float32 [N] mono at 16 kHz in [-1, 1]; any N, also none."""
        ...

    def weights_at(self, time: float) -> MouthShape:
        """The shape at ``time`` seconds.

        Final for times up to ``look_ahead`` before the end of what was pushed; after that the last
        known shape, eased to rest, so that a stream that stops mid-word closes the mouth.
        """
        ...

    def reset(self) -> None:
        """Forget the stream; the next sample is at time zero."""
        ...


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


class Animator(Protocol):
    """Makes a face live: from what is said, felt and looked at to a ``FaceState``. For one thread.

    Built with a ``seed``: the same calls give the same states.
    """

    def feel(self, probability: npt.ArrayLike | None) -> None:
        """The expression to show, from now on: [7] in the order of ``types.EXPRESSIONS``, each in
        [0, 1]; None for neutral. Eased in and out.
        """
        ...

    def feel_affect(self, valence: float, arousal: float) -> None:
        """The same from valence and arousal, each in [-1, 1]."""
        ...

    def look_at(self, yaw: float, pitch: float) -> None:
        """Where to look, from now on, radians in the picture's frame; (0, 0) is the viewer."""
        ...

    def state_at(self, time: float, mouth: MouthShape, speaking: bool) -> FaceState:
        """The state at ``time`` seconds (any clock that does not go back), once an image."""
        ...
