"""Chooses the one person who is said to speak, with hysteresis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from face_perception.settings import check, setting


@dataclass(frozen=True)
class SpeakerSettings:
    """Settings of ``SpeakerChoice``."""

    speaker_probability: float = setting(
        0.5,
        "A face becomes the speaker at this probability of speaking. A larger value names somebody "
        "later and less often by mistake.",
        minimum=0.01,
        maximum=1.0,
        dynamic=True,
    )
    speaker_enter_time: float = setting(
        0.1,
        "A face must be the most probable one for this long before it becomes the speaker. A "
        "larger value ignores longer mistakes.",
        minimum=0.0,
        maximum=10.0,
        unit="s",
        dynamic=True,
    )
    speaker_leave_time: float = setting(
        0.4,
        "Nobody is the speaker after the probability was below speaker_probability for this long. "
        "A larger value bridges longer pauses.",
        minimum=0.0,
        maximum=10.0,
        unit="s",
        dynamic=True,
    )


class SpeakerChoice:
    """Chooses the speaker from the probabilities of all faces; all times are stamps, seconds.

    >>> choice = SpeakerChoice()
    >>> [choice.update(k / 10, {"anna": 0.1, "bert": 0.9}) for k in range(3)]
    ['', 'bert', 'bert']
    """

    def __init__(self, settings: SpeakerSettings | None = None) -> None:
        self.change_settings(settings or SpeakerSettings())
        self.reset()

    def change_settings(self, settings: SpeakerSettings) -> None:
        """Uses other settings from the next image on. Raises InputError if one is not allowed."""
        check(settings)
        self._settings = settings

    def reset(self) -> None:
        """Forgets the speaker."""
        self.speaker = ""
        self._pending, self._pending_since = "", math.nan
        self._stamp = -math.inf

    def update(self, stamp: float, speaking: Mapping[str, float]) -> str:
        """Returns the id of the speaker in the image of ``stamp`` seconds; empty: nobody in view.

        ``speaking`` is the probability that each face in the image speaks; NaN counts as 0. A stamp
        that goes back forgets the speaker.
        """
        if stamp < self._stamp:
            self.reset()
        self._stamp = stamp
        likely = {k: p for k, p in speaking.items() if p >= self._settings.speaker_probability}
        best = max(likely, key=lambda face_id: likely[face_id], default="")
        if best == self.speaker:
            self._pending_since = math.nan
            return self.speaker
        if math.isnan(self._pending_since) or best != self._pending:
            self._pending, self._pending_since = best, stamp
        wait = self._settings.speaker_enter_time if best else self._settings.speaker_leave_time
        if stamp - self._pending_since >= wait - 1e-6:
            self.speaker, self._pending_since = best, math.nan
        return self.speaker
