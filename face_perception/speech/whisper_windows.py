"""Speech -> what MuseTalk hears of it: whisper's states at 50 Hz, and ten of them for each image.

Arrays only; the encoder is any model with whisper-tiny's contract (``mel`` -> ``states``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.speech.mel_spectrogram import HOP, RATE, log_mel
from face_perception.types import FloatArray

STEP_RATE = 50  # states a second
LAYERS, WIDTH = 5, 384
WINDOW = 10  # states an image
BEFORE = 4  # of them before the image's own moment
BLOCK = 30 * RATE  # samples that the encoder hears at once
BLOCK_FRAMES = BLOCK // HOP
_BLOCK_STEPS = 30 * STEP_RATE
_STEP = RATE // STEP_RATE
# The largest power in speech at usual levels, log10: 0.97 to 1.06 in the three recordings at hand.
_USUAL = 1.0


class WhisperEncoderModel(Protocol):
    """A loaded ``whisper_encoder``: ``mel`` [N, 80, 3000] -> ``states`` [N, 1500, 5, 384]."""

    def infer(self, inputs: dict[str, Any]) -> Mapping[str, Any]: ...


def state_count(samples: int) -> int:
    """States of so many samples at 16 kHz: whole ones only, in the published arithmetic, which is
    one short where the seconds round down (9280 samples).
    """
    return math.floor(samples / RATE * STEP_RATE)


def image_count(samples: int, fps: float) -> int:
    """Images of so many samples at 16 kHz: whole ones only, in the published arithmetic (18560
    samples at 25 a second are 28). As published, ``fps`` is cut to a whole number here and below:
    29.97 is 29.
    """
    return math.floor(samples / RATE * _whole(fps))


def window_starts(count: int, fps: float, first: int = 0) -> npt.NDArray[np.int64]:
    """[count]: the state at which the window of each image from number ``first`` starts.

    Before 0 and behind the end there is silence. The last image needs the states up to its start
    plus ``WINDOW``.
    """
    ratio = STEP_RATE / _whole(fps)
    # A whole number of zeros before: 4 from 25 images a second on, 6 and more below.
    before = 2 * math.ceil(ratio)
    starts: npt.NDArray[np.int64] = np.floor(np.arange(first, first + count) * ratio).astype(
        np.int64
    )
    return starts - before


def image_windows(features: FloatArray, count: int, fps: float, first: int = 0) -> FloatArray:
    """``features`` [T, 5, 384] -> float32 [count, 50, 384] for images ``first``, ``first`` + 1, …

    MuseTalk 1.5, and 1.0 as its code is today: ten states, each with its five layers, zeros where
    there is no speech yet or any more.
    """
    index = window_starts(count, fps, first)[:, None] + np.arange(WINDOW)
    inside = (index >= 0) & (index < len(features))
    picked = np.zeros((*index.shape, LAYERS, WIDTH), np.float32)
    picked[inside] = features[index[inside]]
    return picked.reshape(count, WINDOW * LAYERS, WIDTH)


def original_window_starts(numbers: npt.NDArray[np.int64], fps: float) -> npt.NDArray[np.int64]:
    """Returns the state at which the window of each image starts, as MuseTalk 1.0 first had them.

    ``numbers`` [N] int64 are the image numbers. Raises InputError if ``fps`` is below 1.
    """
    _whole(fps)
    moments: npt.NDArray[np.int64] = (numbers * STEP_RATE / fps).astype(np.int64)
    return moments - BEFORE


def whisper_states(
    samples: FloatArray, encoder: WhisperEncoderModel, *, original: bool = False
) -> FloatArray:
    """Whole speech [S], 16 kHz, -1 to 1 -> float32 [T, 5, 384] at 50 Hz.

    In blocks of 30 s, each followed by silence where it is shorter. ``original`` is MuseTalk 1.0's
    first way: one spectrogram of the whole, zero behind its end, in blocks; its encoder is one
    without the last norm.
    """
    found = [np.zeros((0, LAYERS, WIDTH), np.float32)]
    if original:
        mel = log_mel(samples)
        for start in range(0, mel.shape[1], BLOCK_FRAMES):
            part = mel[:, start : start + BLOCK_FRAMES]
            found.append(_hear(_filled_up(part), encoder)[: part.shape[1] // 2])
        return np.concatenate(found)
    for start in range(0, len(samples), BLOCK):
        found.append(_hear(log_mel(samples[start : start + BLOCK], BLOCK_FRAMES), encoder))
    return np.concatenate(found)[: state_count(len(samples))]


class WhisperStateStream:
    """Speech as it comes -> the same states as ``whisper_states`` the whole of it, nearly.

    Whisper hears 30 s at once, in both directions. Each time it is run here on all of the current
    30 s block that has come so far, at its own place in the block and followed by silence, as the
    whole would be: what is missing is only what comes later. So a state is handed out once
    ``look_ahead`` seconds behind it are known, or the speech has ended; handed-out states are never
    changed. It runs whenever ``every`` seconds are new, each run costing a whole block. Speech that
    is there at once (``last``) gives exactly the states of the whole.

    The spectrogram, and with it the silence behind, depends on the largest power of the speech,
    which may still be to come: until the end it is taken for that of usual speech where less came.

    Measured on English speech that begins with 3 s of near silence, cut to 4 s, in pieces of 0.2 s,
    all states, by layer. With pseudo-random weights of the true size the layers are off by 4 % of
    their RMS, the worst state by 8 % (31 to 34 and 45 % with the largest so far); the embedding by
    less than 1 %. With trained weights (whisper tiny.en) by 6, 14, 22 and 43 %, the worst state by
    52 % (nearly the same with the largest so far): they attend to what comes later. Of 10 s: 18 to
    20 %, the worst 33 %; trained 7, 15, 19 and 30 %, the worst 91 %. 30 s: not measured. Of 4 s
    with a look-ahead of 1.6 s, trained, the largest so far: 2, 6, 12 and 18 %, the worst 36 %.
    Keeping the last 4 s only and placing them at the block's start was off by 70 to 140 % (pseudo-
    random weights) and is not offered: states depend on their place in the block.

    For one thread. Raises what the encoder raises, InputError for a look-ahead below 0.
    """

    def __init__(
        self,
        encoder: WhisperEncoderModel,
        *,
        look_ahead: float = 0.4,
        every: float = 0.2,
        original: bool = False,
    ) -> None:
        if not look_ahead >= 0 or not every >= 0:
            raise InputError("look_ahead and every must be seconds from 0 on")
        self.look_ahead = look_ahead
        self._encoder, self._original = encoder, original
        self._hold = math.ceil(look_ahead * STEP_RATE)
        self._every = max(1, math.ceil(every * STEP_RATE))
        self.reset()

    def reset(self) -> None:
        """Forgets the speech so far: the next is a new one."""
        self._block = np.zeros(0, np.float32)
        self._before = 0  # samples in earlier blocks
        self._given = 0  # states of the current block that were handed out

    def encode(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        """More speech [S], 16 kHz, -1 to 1 -> the states [K, 5, 384] that are now certain, K from
        0. ``last`` says that the speech ends here; then all are handed out, and what is pushed next
        is a new one.
        """
        rest = np.asarray(samples, np.float32)
        if last and not self._before and not len(self._block):
            return whisper_states(rest, self._encoder, original=self._original)
        found = [np.zeros((0, LAYERS, WIDTH), np.float32)]
        while True:
            room = BLOCK - len(self._block)
            self._block = np.concatenate([self._block, rest[:room]])
            rest = rest[room:]
            found.append(self._heard(last=last and not len(rest)))
            if len(self._block) == BLOCK:
                self._before += BLOCK
                self._block, self._given = self._block[:0], 0
            if not len(rest):
                break
        if last:
            self.reset()
        return np.concatenate(found)

    def _heard(self, *, last: bool) -> FloatArray:
        """The states of the block that are certain by now."""
        ends = last or len(self._block) == BLOCK
        steps = len(self._block) // _STEP
        if last and not self._original:
            steps = state_count(self._before + len(self._block)) - self._before // _STEP
        ready = steps if ends else steps - self._hold
        if ready - self._given < (1 if ends else self._every):
            return np.zeros((0, LAYERS, WIDTH), np.float32)
        frames = None if self._original else BLOCK_FRAMES
        # The largest, which the silence behind depends on, is still to come.
        mel = log_mel(self._block, frames) if ends else log_mel(self._block, frames, least=_USUAL)
        states = _hear(_filled_up(mel), self._encoder)[self._given : ready]
        self._given = ready
        return states


def _hear(mel: FloatArray, encoder: WhisperEncoderModel) -> FloatArray:
    """[80, 3000] -> [1500, 5, 384]."""
    return np.asarray(encoder.infer({"mel": mel[None]})["states"][0], np.float32)


def _filled_up(mel: FloatArray) -> FloatArray:
    filled = np.zeros((len(mel), BLOCK_FRAMES), np.float32)
    filled[:, : mel.shape[1]] = mel
    return filled


def _whole(fps: float) -> int:
    if not 1 <= fps < math.inf:
        raise InputError(f"images a second must be a number from 1 on, not {fps}")
    return int(fps)
