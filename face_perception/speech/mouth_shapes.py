"""Defines mouth shapes and the interface of the classes that estimate them from speech."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.speech.audio_chunks import AudioSamples

MOUTH_RATE = 16_000  # hertz; sample rate of the speech that every ``Mouth`` takes


@dataclass(frozen=True, slots=True)
class MouthShape:
    """Holds weights in [0, 1] of a mouth's movements. All zero: at rest, lips closed.

    The movements add up, except that ``press`` closes the lips however far the jaw is dropped. Each
    is listed with its FACS action unit and with the sounds in which it is strong:

    - ``jaw``: jaw dropped, lips parted (AU 26; at 1 nearly AU 27): /a/ strong, /e/ and /o/ medium.
    - ``wide``: lip corners drawn apart (AU 20): /i/, /e/, and with little ``jaw`` /s/.
    - ``round``: lips pushed forward and narrowed (AU 18, 22): /u/, /o/, /w/, /sh/.
    - ``press``: lips pressed together (AU 24): /m/, /b/, /p/.
    - ``teeth``: upper lip raised, lower lip lowered, teeth visible (AU 10, 16): /s/, /z/, /t/.
    - ``tuck``: lower lip raised to the upper teeth (AU 32): /f/, /v/.
    """

    jaw: float = 0.0
    wide: float = 0.0
    round: float = 0.0
    press: float = 0.0
    teeth: float = 0.0
    tuck: float = 0.0

    def values(self) -> npt.NDArray[np.float64]:
        """Returns the weights [6] in the order of the fields."""
        return np.array([getattr(self, one.name) for one in fields(self)], np.float64)


REST = MouthShape()


def lip_distance(weights: Any) -> Any:
    """Returns the approximate distance between the lips [...] for mouth weights [..., 6].

    The weights are an array or a tensor in the order of the fields of ``MouthShape``. 1 is the
    distance with the jaw fully down and all other weights 0.
    """
    jaw, _, rounded, press, teeth, tuck = (weights[..., k] for k in range(6))
    return (jaw + 0.35 * teeth + 0.2 * tuck) * (1 - press) + 0.15 * rounded


class Mouth(Protocol):
    """Estimates mouth shapes from a stream of speech. For one thread.

    Times are in seconds of the stream: the first sample after ``reset`` is at 0 s and sample n at
    n / 16000 s, however the samples are split into calls.
    """

    look_ahead: float  # seconds of speech after a time that the shape at this time depends on
    frame_period: float  # seconds between two estimates; shapes in between are interpolated

    def push_samples(self, samples: AudioSamples) -> None:
        """Takes the next samples: float32 [N], mono, 16 kHz, in [-1, 1]; N may be 0."""
        ...

    def shape_at(self, time: float) -> MouthShape:
        """Returns the shape at ``time`` (seconds).

        It is final for times up to ``look_ahead`` before the last sample. For later times it is the
        last final shape, eased to rest, so that the mouth closes if the stream stops within a word.
        """
        ...

    def reset(self) -> None:
        """Forgets the stream; the next sample is at time 0."""
        ...
