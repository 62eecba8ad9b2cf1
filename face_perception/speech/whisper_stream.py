"""Computes the window of whisper's states for each image while speech comes, for MuseTalk."""

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

# States that are kept before the window that was read last, because it may be read again.
_KEPT = 10 * STEP_RATE


class WhisperWindowStream:
    """Takes speech at 16 kHz and returns the window of each image once it is known.

    Handles one speech at a time; its images are counted from 0. Whisper runs after every ``every``
    seconds of new speech, and a state is used once ``hold`` seconds of speech after it are known;
    see ``WhisperStateStream``.

    ``look_ahead`` is the delay in seconds: the window of an image is known once this much speech
    after the time of the image has come. It is the 0.12 s of the window, plus ``hold``, plus
    ``every``. Speech that comes at once (``last`` in the first call) has no delay and gives exactly
    the windows of the whole speech. Otherwise windows deviate: on 2 s of speech in pieces of 0.1 s,
    with random weights, by 3 % of their RMS, the worst image by 6 % (a test limits them to 5 and
    10 %). For longer speech see ``WhisperStateStream``.

    ``original`` follows the first code of MuseTalk 1.0, as in ``whisper_states``.

    For one thread. Raises InputError if ``hold`` or ``every`` is negative.
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
        """Forgets the speech; what comes next is a new speech."""
        self._states_of.reset()
        self._states = np.zeros((0, LAYERS, WIDTH), np.float32)
        self._first = 0  # number of the first state that is kept
        self._ended = False

    def measure_load(self) -> float:
        """Returns the seconds of computation that a second of speech takes on this machine.

        Takes the median of three runs, after one that does not count. Passes on the encoder's
        errors.
        """
        mel = np.zeros((1, MELS, BLOCK_FRAMES), np.float32)
        taken = []
        for _ in range(4):
            begin = time.perf_counter()
            self._model.infer({"mel": mel})
            taken.append(time.perf_counter() - begin)
        return statistics.median(taken[1:]) / max(self._every, 1 / STEP_RATE)

    def append_speech(self, samples: FloatArray, *, last: bool = False) -> None:
        """Takes more speech [S] (16 kHz, -1 to 1); S may be 0. ``last`` ends the speech.

        Raises InputError if the speech has ended, and passes on the encoder's errors.
        """
        if self._ended:
            raise InputError("this speech has ended: call reset() before the next one")
        found = self._states_of.encode(np.asarray(samples, np.float32), last=last)
        self._ended = last
        if len(found):
            self._states = np.concatenate([self._states, found])

    def image_window(self, index: int, fps: float) -> FloatArray | None:
        """Returns the window of image ``index`` at ``fps`` images a second, float32 [50, 384].

        Returns None if it is not known yet. States before and after the speech are zeros; with
        ``original`` the first and the last state are repeated, as published. Raises InputError if
        the index is negative, or more than 10 s before the last one that was read.
        """
        if index < 0:
            raise InputError(f"there is no image {index}: images are counted from 0")
        if self._original:
            start = int(original_window_starts(np.array([index]), fps)[0])
        else:
            start = int(window_starts(1, fps, index)[0])
        if self._first > max(start, 0):
            raise InputError(f"image {index} is long past: its speech has been forgotten")
        if start + WINDOW > self._first + len(self._states) and not self._ended:
            return None
        old = min(start - _KEPT - self._first, len(self._states))
        if old > _KEPT:  # rarely, because it copies
            self._states = self._states[old:].copy()
            self._first += old
        return self._window_from(start - self._first)

    def _window_from(self, start: int) -> FloatArray:
        picked = np.zeros((WINDOW, LAYERS, WIDTH), np.float32)
        index = np.arange(start, start + WINDOW)
        count = len(self._states)
        if self._original and count:
            index = index.clip(0, count - 1)
        inside = (index >= 0) & (index < count)
        picked[inside] = self._states[index[inside]]
        return picked.reshape(WINDOW * LAYERS, WIDTH)
