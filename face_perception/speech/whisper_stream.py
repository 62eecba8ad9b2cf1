"""Speech as it comes -> what MuseTalk hears for an image, as soon as it can be known.

One speech at a time, images counted from its start. The states are ``WhisperStateStream``'s.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from face_perception.errors import InputError
from face_perception.speech.mel_spectrogram import MELS
from face_perception.speech.whisper_windows import (
    BEFORE,
    BLOCK_FRAMES,
    LAYERS,
    STEP_RATE,
    WIDTH,
    WINDOW,
    WhisperEncoderModel,
    WhisperStateStream,
    original_window_starts,
    window_starts,
)
from face_perception.types import FloatArray

# States kept behind the window that was asked for last: a screen may ask again.
_KEPT = 10 * STEP_RATE


class WhisperWindowStream:
    """Push speech at 16 kHz, ask for the window of an image.

    Context: whisper hears all of the current 30 s block that has come so far, at its own place in
    the block and followed by silence, just as it hears a whole clip, so that what is missing is
    only what comes later. A state counts once ``hold`` seconds behind it are known, and is never
    changed; whisper runs once for ``every`` seconds of new speech, each run costing a whole block.

    ``look_ahead`` is the declared delay: once so many seconds behind an image's moment are pushed,
    its window is there. It is the window's own 0.12 s, and ``hold``, and ``every``. Speech that is
    there at once (``last`` in its first push) has no delay, and exactly the windows of the whole.

    Else windows are not those of the whole: measured on 2 s of speech in pieces of 0.1 s, with
    pseudo-random weights, they are off by 3 % of their RMS, the worst image's by 6 % (a test holds
    5 and 10); with more speech still to come by what ``WhisperStateStream`` says.

    ``original`` is for MuseTalk 1.0's first encoder, as in ``whisper_states`` and
    ``original_image_windows``: the spectrogram is zero behind what has come so far.

    For one thread. Raises InputError for a negative ``hold`` or ``every``.
    """

    def __init__(
        self,
        model: WhisperEncoderModel,
        *,
        hold: float = 0.4,
        every: float = 0.2,
        original: bool = False,
    ) -> None:
        self._model, self._every, self._original = model, every, original
        self._states_of = WhisperStateStream(model, look_ahead=hold, every=every, original=original)
        self.look_ahead = (WINDOW - BEFORE) / STEP_RATE + hold + every
        self.reset()

    def reset(self) -> None:
        """Forgets the speech: the next is a new one, its images counted from 0."""
        self._states_of.reset()
        self._states = np.zeros((0, LAYERS, WIDTH), np.float32)
        self._first = 0  # the number of the first state that is kept
        self._ended = False

    def measure_load(self) -> float:
        """Seconds that whisper takes here for a second of speech: the median of three runs, after
        one that is not counted. Raises what the encoder raises.
        """
        mel = np.zeros((1, MELS, BLOCK_FRAMES), np.float32)
        taken = []
        for _ in range(4):
            begin = time.perf_counter()
            self._model.infer({"mel": mel})
            taken.append(time.perf_counter() - begin)
        return statistics.median(taken[1:]) / max(self._every, 1 / STEP_RATE)

    def append_speech(self, samples: FloatArray, *, last: bool = False) -> None:
        """More of the speech [S], 16 kHz, -1 to 1; ``last`` says that it ends here (S may be 0).

        Raises InputError after the last, and what the encoder raises.
        """
        if self._ended:
            raise InputError("this speech has ended: call reset() before the next one")
        found = self._states_of.encode(np.asarray(samples, np.float32), last=last)
        self._ended = last
        if len(found):
            self._states = np.concatenate([self._states, found])

    def image_window(self, index: int, fps: float) -> FloatArray | None:
        """float32 [50, 384] of image ``index``, at ``fps`` images a second; None if not yet.

        Before the speech and behind its end there is silence (zeros), with ``original`` its first
        and last state, as published. Raises InputError for an index below 0, and for one that is
        over 10 s before the last one asked for: it is forgotten.
        """
        if index < 0:
            raise InputError(f"images are counted from 0, there is no {index}")
        if self._original:
            start = int(original_window_starts(np.array([index]), fps)[0])
        else:
            start = int(window_starts(1, fps, index)[0])
        if self._first > max(start, 0):
            raise InputError(f"image {index} is long past: its speech is forgotten")
        if start + WINDOW > self._first + len(self._states) and not self._ended:
            return None
        old = min(start - _KEPT - self._first, len(self._states))
        if old > _KEPT:  # seldom, for it copies
            self._states = self._states[old:].copy()
            self._first += old
        return self._picked(start - self._first)

    def _picked(self, start: int) -> FloatArray:
        picked = np.zeros((WINDOW, LAYERS, WIDTH), np.float32)
        index = np.arange(start, start + WINDOW)
        count = len(self._states)
        if self._original and count:
            index = index.clip(0, count - 1)
        inside = (index >= 0) & (index < count)
        picked[inside] = self._states[index[inside]]
        return picked.reshape(WINDOW * LAYERS, WIDTH)
