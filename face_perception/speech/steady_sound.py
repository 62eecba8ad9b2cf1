"""Tells steady sounds (hum, buzz, beeps) from voices, whose spectrum changes all the time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Chosen on test/data/speech_*.wav, resources/speech/hello.wav, a minute of another recording, two
# files of TEN-VAD's test set, and 62 generated hums, tones, beeps and buzzes. In voiced frames of
# these recordings the bands change by 0.78 dB or more from frame to frame in half of the frames,
# and by 0.45 dB or more in 80 %. A buzz with noise 20 dB below it changes by at most 0.52 dB in
# 95 % of its frames, one without noise by less than 0.05 dB.
_CHANGE = 0.6  # dB; mean change over two frames from which a sound is changing
_STRONG = 20.0  # dB below the strongest band; weaker bands hold noise and are not compared
_FALL = 1.0  # dB; a frame that is quieter than the one before by more may be the end of a sound
_JUMP = 6.0  # dB in two frames by which another sound sets in
_SETTLED = 3  # frames of 10 ms after which no window of 32 ms contains the onset of a sound
_STEADY = 30  # frames without a change after which a sound counts as steady
_PAUSE = 18  # frames of silence after which another sound begins


class SteadySound:
    """Decides for each frame whether the sound is steady. A new sound is, until it has changed.

    The onset and the end of a sound are no changes, because every sound has them. Frames are 10 ms
    apart and have windows of up to 32 ms.

    >>> buzz = SteadySound()
    >>> tone = np.array([-20.0, -25.0, -30.0])
    >>> any(buzz.is_changing(tone, -18.0, audible=True) for _ in range(100))
    False
    """

    def __init__(self) -> None:
        self._level = self._level_before = -120.0  # dB; of the last frame and the one before
        self._bands: FloatArray | None = None  # of the last frame
        self._age = 0  # audible frames since the sound set in
        self._change = 0.0  # dB; of the last frame
        self._since_change = _STEADY + 1  # frames
        self._since_audible = 0  # frames

    def is_changing(self, bands: FloatArray, level: float, *, audible: bool) -> bool:
        """Returns whether the spectrum has changed lately.

        ``bands`` are the levels of frequency bands [N] and ``level`` that of all of them, in dB;
        ``audible`` is false in silence and in background noise.
        """
        self._since_audible = 0 if audible else self._since_audible + 1
        if self._since_audible > _PAUSE:
            self._since_change = _STEADY + 1
        # What rises within its first windows is one sound that sets in.
        sets_in = level > self._level_before + _JUMP and self._age > _SETTLED
        self._age = self._age + 1 if audible and not sets_in else 0
        change = 0.0
        if self._bands is not None and self._age > _SETTLED and level > self._level - _FALL:
            largest = np.maximum(bands, self._bands)
            strong = largest > largest.max() - _STRONG
            change = float(np.abs(bands - self._bands)[strong].mean())
        changed = 0.5 * (change + self._change) >= _CHANGE
        self._since_change = 0 if changed else self._since_change + 1
        self._bands, self._change = bands, change
        self._level_before, self._level = self._level, level
        return self._since_change <= _STEADY
