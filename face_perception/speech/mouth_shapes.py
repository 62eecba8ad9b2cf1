"""What a mouth is: speech in, a few weights per moment out. Values and the protocol only; a trained
mouth plugs in here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt

from face_perception.speech.audio_chunks import AudioSamples

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

    def push_samples(self, samples: AudioSamples) -> None:
        """The next samples, float32 [N] mono at 16 kHz in [-1, 1]; any N, also none."""
        ...

    def shape_at(self, time: float) -> MouthShape:
        """The shape at ``time`` seconds.

        Final for times up to ``look_ahead`` before the end of what was pushed; after that the last
        known shape, eased to rest, so that a stream that stops mid-word closes the mouth.
        """
        ...

    def reset(self) -> None:
        """Forget the stream; the next sample is at time zero."""
        ...
