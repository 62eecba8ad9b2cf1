"""Keeps the mouth shapes of phonemes whose times a voice has announced."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from face_perception.errors import InputError, shortened
from face_perception.speech.articulation import ARTICULATION_RATE, articulation
from face_perception.speech.lip_speed_limit import limited_motion
from face_perception.speech.mouth_shape_track import MouthShapeTrack
from face_perception.speech.mouth_shapes import MouthShape
from face_perception.speech.voices.voice import Phone

_LONGEST = 60.0  # seconds of one sentence
_MOST = 1000  # phonemes of one sentence
_LETTERS = 8  # of one phoneme
_KEPT = 100  # sentences
_LOUD = 0.5  # jaw of the mouth that follows the sound, in a stressed syllable
_LEAST = 0.2  # share of the jaw in the weakest syllables
_AFTER = 0.15  # seconds after the last phoneme in which the lips go to rest


def with_effort_of(announced: MouthShape, heard: MouthShape) -> MouthShape:
    """Returns an announced shape whose jaw opens less in weak syllables.

    ``heard`` is the shape of a mouth that follows the sound: its jaw tells how loud it is. On five
    sentences of hibari (`bench/voice.py`) this raises the correlation of lips and level from 0.07
    to 0.3, and as many lips close.
    """
    effort = min(1.0, heard.jaw / _LOUD)
    return replace(announced, jaw=announced.jaw * (_LEAST + (1 - _LEAST) * effort))


class PhonemeMouth:
    """Mouth shapes on the clock of the sender of the speech. Any thread may call the methods.

    >>> mouth = PhonemeMouth()
    >>> mouth.add([Phone("m", 100.0, 100.1), Phone("ɑ", 100.1, 100.3)])
    >>> mouth.shape_at(100.05).press > 0.9, mouth.shape_at(100.2).jaw > 0.6
    (True, True)
    >>> mouth.shape_at(99.0) is None, mouth.shape_at(101.0) is None  # nothing is known there
    (True, True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sentences: deque[tuple[float, float, MouthShapeTrack]] = deque(maxlen=_KEPT)

    def add(self, phones: Sequence[Phone]) -> None:
        """Adds the phonemes of a sentence, in order. Forgets sentences that begin no earlier.

        Those were announced before the speech was replaced, or before the clock went back.
        Raises InputError if a time is not finite, a phoneme begins before the one before it, or the
        sentence has more than 1000 phonemes, one of more than 8 letters, or takes more than 60 s.
        """
        if not phones:
            return
        if len(phones) > _MOST:
            raise InputError(f"a sentence has {len(phones)} phonemes: send at most {_MOST}")
        longest = max((phone.name for phone in phones), key=len)
        if len(longest) > _LETTERS:
            raise InputError(
                f"a phoneme is {shortened(longest)}: send each one for itself, of at most "
                f"{_LETTERS} letters"
            )
        times = np.array([(phone.start, phone.end) for phone in phones])
        if not np.isfinite(times).all():
            raise InputError("the times of phonemes are NaN or infinite: send finite ones")
        begin, end = float(times[0, 0]), float(times[:, 1].max())
        if (np.diff(times[:, 0]) < 0).any() or (times[:, 1] < times[:, 0]).any():
            raise InputError("phonemes are not in the order of their times: sort them")
        if end - begin > _LONGEST:
            raise InputError(
                f"phonemes take {end - begin:.0f} s: send them sentence by sentence, of at most "
                f"{_LONGEST:g} s"
            )
        shifted = [Phone(p.name, p.start - begin, p.end - begin) for p in phones]
        track = MouthShapeTrack(1 / ARTICULATION_RATE)
        wanted = articulation(shifted, math.ceil((end - begin) * ARTICULATION_RATE) + 1)
        for weights in limited_motion(wanted, 1 / ARTICULATION_RATE):
            track.append(weights)
        with self._lock:
            while self._sentences and self._sentences[-1][0] >= begin:
                self._sentences.pop()
            self._sentences.append((begin, end, track))

    def clear(self) -> None:
        """Forgets all phonemes."""
        with self._lock:
            self._sentences.clear()

    def shape_at(self, time: float, since: float = -math.inf) -> MouthShape | None:
        """Returns the shape at a time in seconds; None if no phonemes are known there.

        Sentences that begin before ``since`` do not count.
        """
        with self._lock:
            for begin, end, track in reversed(self._sentences):
                if begin < since:
                    return None
                if begin <= time < end + _AFTER:
                    return track.at(time - begin)
        return None
