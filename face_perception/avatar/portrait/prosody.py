"""Moves head, brows and lids with the speech: at stressed syllables and between phrases.

The rules need no words. How loud and how stressed a syllable is shows in how far the jaw opens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_FAST, _SLOW = 0.06, 0.9  # time constants of two running means of the jaw, seconds
_BROW_PAUSE = 0.9  # shortest time between two raises of the brows, seconds
_BROW_TIME = 0.35  # duration of a raise, seconds
_CLOSED = 0.05  # jaw below which the mouth is closed
_PHRASE = 0.7  # shortest phrase that ends with a nod, seconds
_GAP = 0.16  # seconds with a closed jaw after which a phrase has ended
# Speakers blink most at the ends of phrases (Cummins 2012), and raise head and brows as they begin.
_BLINK_AT_END, _BROWS_AT_BEGIN = 0.6, 0.4  # probabilities
_NOD_TIME = 0.55  # duration of the nod at the end of a phrase, seconds
_NOD, _RAISE = 0.030, 0.014  # nod at the end of a phrase, raised head at its beginning, radians
_STRESS_NOD = 0.035  # nod at a stressed syllable, radians


@dataclass(frozen=True, slots=True)
class Accent:
    """What the speech adds to a frame.

    - ``brows`` in [0, 1]: how far the brows are raised.
    - ``head_pitch``: radians, negative for a nod.
    - ``blink``: whether a blink begins.
    """

    brows: float = 0.0
    head_pitch: float = 0.0
    blink: bool = False


class Prosody:
    """Follows the jaw of speech. The same random numbers and calls give the same accents.

    >>> prosody = Prosody(np.random.default_rng(0))
    >>> still = prosody.follow(0.03, jaw=0.0, liveliness=1.0)
    >>> still == Accent()
    True
    """

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._now = 0.0
        self._fast = self._slow = 0.0
        self._stress = self._lift = self._raised = 0.0
        self._last_lift = self._lift_until = -math.inf
        self._begin: float | None = None  # of the current phrase
        self._opened = -math.inf  # when the jaw was open for the last time
        self._ended = -math.inf  # when the last long phrase ended

    def follow(self, step: float, jaw: float, liveliness: float) -> Accent:
        """Returns the accent ``step`` seconds after the last one.

        - ``jaw`` in [0, 1]: of the mouth that speaks, 0 in silence.
        - ``liveliness``: how strong the accents are; 1 is usual.
        """
        self._now += step
        blink = self._follow_phrases(jaw)
        self._follow_stress(step, jaw)
        lifting = self._now < self._lift_until
        self._lift += _share(step, 0.09 if lifting else 0.30) * (lifting - self._lift)
        high = self._begin is not None and self._now - self._begin < _BROW_TIME
        self._raised += _share(step, 0.15 if high else 0.5) * (high - self._raised)
        since = (self._now - self._ended) / _NOD_TIME
        nod = math.sin(math.pi * since) ** 2 if 0 <= since < 1 else 0.0
        pitch = _RAISE * self._raised - _NOD * nod - _STRESS_NOD * self._stress
        return Accent(min(1.0, liveliness * self._lift), liveliness * pitch, blink)

    def _follow_phrases(self, jaw: float) -> bool:
        """Notes beginnings and ends of phrases. Returns whether a blink begins."""
        if jaw > _CLOSED:
            self._opened = self._now
            if self._begin is None:
                self._begin = self._now
                if self._random.random() < _BROWS_AT_BEGIN:
                    self._raise_brows()
            return False
        if self._begin is None or self._now - self._opened < _GAP:
            return False
        long = self._opened - self._begin >= _PHRASE
        self._begin = None
        if not long:
            return False
        self._ended = self._now
        return bool(self._random.random() < _BLINK_AT_END)

    def _follow_stress(self, step: float, jaw: float) -> None:
        self._fast += _share(step, _FAST) * (jaw - self._fast)
        self._slow += _share(step, _SLOW) * (jaw - self._slow)
        stressed = max(0.0, self._fast - self._slow - 0.12)
        self._stress += _share(step, 0.12) * (min(1.0, 2.5 * stressed) - self._stress)
        if stressed > 0.18 and self._now - self._last_lift > _BROW_PAUSE:
            # Only some of them: brows that move regularly look mechanical.
            if self._random.random() < 0.5:
                self._raise_brows()
            else:
                self._last_lift = self._now - 0.5

    def _raise_brows(self) -> None:
        self._last_lift = self._now
        self._lift_until = self._now + _BROW_TIME


def _share(step: float, time: float) -> float:
    """Returns by which share a running mean with a time constant moves in a step, both seconds."""
    return 1 - math.exp(-step / time)
