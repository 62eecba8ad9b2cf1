"""Defines what the parts of the talking face exchange: the face state, animators and renderers.

Contains values and protocols only. A renderer of another kind implements ``Renderer`` and, if it
needs the speech itself, ``SpeechListener``. Mouth shapes are defined in ``face_perception.speech``.
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
    """Everything that a renderer needs for one frame.

    Angles are in radians in the picture's frame, as everywhere in the package: yaw is positive
    towards image right, pitch is positive up, roll is positive clockwise. Gaze (0, 0) looks at the
    viewer.

    - ``mouth``: the shape of the mouth.
    - ``smile``: corners of the mouth, [-1, 1]: 1 is a broad smile (AU12), -1 is drawn down (AU15).
    - ``inner_brow``, ``outer_brow``: [-1, 1]: 1 is raised (AU1, AU2), -1 is lowered and drawn
      together (AU4).
    - ``lids``: [-1, 1]: 0 is as in the picture, 1 is wide open (AU5), -1 is narrowed (AU7).
    - ``blink``: [0, 1]: 1 is shut (AU45). It is applied on top of ``lids``.
    - ``gaze_yaw``, ``gaze_pitch``: gaze direction in the picture's frame, not relative to the head.
    - ``head_yaw``, ``head_pitch``, ``head_roll``: rotation of the head relative to its pose in the
      picture. A renderer may limit it.
    - ``brow_knit``: [0, 1]: 1 draws the brows together without lowering them (as in AU1+4).
    - ``cheeks``: [0, 1]: 1 raises the cheeks (AU6). ``smile`` raises them as well.
    - ``nose``: [0, 1]: 1 wrinkles the nose and raises the upper lip (AU9, AU10).
    - ``stretch``, ``tighten``: [0, 1]: lips drawn apart (AU20), lips thin and tight (AU23).

    >>> from dataclasses import replace
    >>> state = FaceState(MouthShape(jaw=0.4), smile=0.8, gaze_yaw=-0.2)  # looks to image left
    >>> shut = replace(state, blink=1.0)
    >>> shut.blink, shut.gaze_yaw
    (1.0, -0.2)
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
    brow_knit: float = 0.0
    cheeks: float = 0.0
    nose: float = 0.0
    stretch: float = 0.0
    tighten: float = 0.0


class Renderer(Protocol):
    """Draws a face. Not thread-safe: one thread calls it.

    A face that is one bar, as bright as the mouth is open:

    >>> class BarRenderer:
    ...     size = (64, 8)
    ...     def render(self, state):
    ...         return np.full((8, 64, 3), round(255 * state.mouth.jaw), np.uint8)
    >>> BarRenderer().render(FaceState(MouthShape(jaw=1.0)))[0, 0].tolist()
    [255, 255, 255]
    """

    size: tuple[int, int]  # width, height in pixels

    def render(self, state: FaceState) -> Image:
        """Returns a new RGB image, uint8 [height, width, 3], that depends on ``state`` alone."""
        ...


class SpeechListener(Protocol):
    """A renderer that needs the speech itself. The performer calls it on its own thread.

    A listener that measures the loudness of the speech:

    >>> class LevelMeter:
    ...     def reset_speech(self):
    ...         self.level = 0.0
    ...     def append_speech(self, samples):
    ...         self.level = float(np.abs(samples).max())
    ...     def end_utterance(self):
    ...         self.level = 0.0
    ...     def announce_frame(self, number, time):
    ...         pass
    >>> meter = LevelMeter()  # Performer(..., listener=meter)
    >>> meter.append_speech(np.array([0.1, -0.4], np.float32))
    >>> round(meter.level, 1)
    0.4
    """

    def append_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """Appends speech, float32 [N], mono, 16 kHz."""
        ...

    def end_utterance(self) -> None:
        """Ends the utterance after the samples appended so far. The next one follows on."""
        ...

    def reset_speech(self) -> None:
        """Forgets the speech so far. The next sample is at time zero."""
        ...

    def announce_frame(self, number: int, time: float | None) -> None:
        """Announces the frame that is rendered next, and its time in the speech in seconds.

        The time is negative shortly before the speech begins, and None if no speech is due.
        """
        ...


class Animator(Protocol):
    """Turns an expression, a gaze target and a mouth shape into a ``FaceState``.

    Not thread-safe: one thread calls it. It is built with a ``seed``: the same calls give the same
    states.

    An animator without idle motion, for a ``Performer``:

    >>> class StillAnimator:
    ...     gaze = (0.0, 0.0)
    ...     def set_expression(self, probability):
    ...         pass
    ...     def set_valence_arousal(self, valence, arousal):
    ...         pass
    ...     def look_at(self, yaw, pitch):
    ...         self.gaze = (yaw, pitch)
    ...     def state_at(self, time, mouth, speaking):
    ...         return FaceState(mouth, gaze_yaw=self.gaze[0], gaze_pitch=self.gaze[1])
    >>> animator = StillAnimator()
    >>> animator.look_at(0.2, 0.0)
    >>> animator.state_at(0.0, MouthShape(jaw=0.5), speaking=True).gaze_yaw
    0.2
    """

    def set_expression(self, probability: npt.ArrayLike | None) -> None:
        """Sets the expression to show: [7] in the order of ``types.EXPRESSIONS``, each in [0, 1].

        None is the neutral face. The change is eased in.
        """
        ...

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        """Sets the expression to show from valence and arousal, each in [-1, 1]."""
        ...

    def look_at(self, yaw: float, pitch: float) -> None:
        """Sets the gaze direction, radians in the picture's frame; (0, 0) is the viewer."""
        ...

    def state_at(self, time: float, mouth: MouthShape, speaking: bool) -> FaceState:
        """Returns the state at ``time`` seconds of any clock that does not go back.

        Call it once per frame.
        """
        ...
