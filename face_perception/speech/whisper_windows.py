"""Computes whisper's states of speech (50 Hz) and the windows of states that MuseTalk takes.

The encoder is any model with the input ``mel`` and the output ``states`` of whisper-tiny's encoder
(Radford et al. 2022).
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

STEP_RATE = 50  # hertz; rate of the states
LAYERS, WIDTH = 5, 384  # size of a state: embedding and four layers
WINDOW = 10  # states for an image
BEFORE = 4  # of these, states before the time of the image
BLOCK = 30 * RATE  # samples that the encoder takes at once
BLOCK_FRAMES = BLOCK // HOP
_STEP = RATE // STEP_RATE
# log10 of the largest power in speech at a usual level: 0.97 to 1.06 in three recordings.
_USUAL_PEAK = 1.0


class WhisperEncoderModel(Protocol):
    """Interface of a whisper encoder, such as the card ``whisper_encoder``."""

    def infer(self, inputs: dict[str, Any]) -> Mapping[str, Any]:
        """Takes ``mel`` [N, 80, 3000] and returns ``states`` [N, 1500, 5, 384]."""
        ...


def state_count(samples: int) -> int:
    """Returns the number of whole states in this many samples at 16 kHz.

    Computes like the published code, which gives one less where the seconds round down (for
    example 9280 samples).
    """
    return math.floor(samples / RATE * STEP_RATE)


def image_count(samples: int, fps: float) -> int:
    """Returns the number of whole images in this many samples at 16 kHz.

    Computes like the published code: 18560 samples at 25 images a second give 28, and ``fps`` is
    rounded down (29.97 becomes 29), here and in ``window_starts``. Raises InputError if ``fps`` is
    below 1.
    """
    return math.floor(samples / RATE * _whole(fps))


def window_starts(count: int, fps: float, first: int = 0) -> npt.NDArray[np.int64]:
    """Returns for ``count`` images from number ``first`` the state at which the window starts.

    int64 [count]. A window has ``WINDOW`` states; those before 0 and after the end of the speech
    are silence. Raises InputError if ``fps`` is below 1.
    """
    ratio = STEP_RATE / _whole(fps)
    # The published code puts this many states before an image: 4 at 25 images a second and more,
    # 6 or more below.
    before = 2 * math.ceil(ratio)
    starts: npt.NDArray[np.int64] = np.floor(np.arange(first, first + count) * ratio).astype(
        np.int64
    )
    return starts - before


def image_windows(features: FloatArray, count: int, fps: float, first: int = 0) -> FloatArray:
    """Returns the windows of ``count`` images from number ``first``, float32 [count, 50, 384].

    ``features`` are the states [T, 5, 384]. A window holds ten states of five layers each, with
    zeros before and after the speech, as in MuseTalk 1.5 and in today's code of MuseTalk 1.0.
    Raises InputError if ``fps`` is below 1.
    """
    index = window_starts(count, fps, first)[:, None] + np.arange(WINDOW)
    inside = (index >= 0) & (index < len(features))
    picked = np.zeros((*index.shape, LAYERS, WIDTH), np.float32)
    picked[inside] = features[index[inside]]
    return picked.reshape(count, WINDOW * LAYERS, WIDTH)


def original_window_starts(numbers: npt.NDArray[np.int64], fps: float) -> npt.NDArray[np.int64]:
    """Returns the state at which each image's window starts in the first code of MuseTalk 1.0.

    ``numbers`` [N] int64 are the image numbers. Raises InputError if ``fps`` is below 1.
    """
    _whole(fps)
    moments: npt.NDArray[np.int64] = (numbers * STEP_RATE / fps).astype(np.int64)
    return moments - BEFORE


def whisper_states(
    samples: FloatArray, encoder: WhisperEncoderModel, *, original: bool = False
) -> FloatArray:
    """Returns the states of a whole speech [S] (16 kHz, -1 to 1) at 50 Hz, float32 [T, 5, 384].

    Encodes blocks of 30 s; pads the last one with silence. ``original`` follows the first code of
    MuseTalk 1.0: one spectrogram of the whole speech, zero after its end, split into blocks. It
    needs an encoder without the last normalization.
    """
    found = [np.zeros((0, LAYERS, WIDTH), np.float32)]
    if original:
        mel = log_mel(samples)
        for start in range(0, mel.shape[1], BLOCK_FRAMES):
            part = mel[:, start : start + BLOCK_FRAMES]
            found.append(_encode(_padded(part), encoder)[: part.shape[1] // 2])
        return np.concatenate(found)
    for start in range(0, len(samples), BLOCK):
        found.append(_encode(log_mel(samples[start : start + BLOCK], BLOCK_FRAMES), encoder))
    return np.concatenate(found)[: state_count(len(samples))]


class WhisperStateStream:
    """Computes the states of speech while it comes, close to those of ``whisper_states``.

    Whisper's encoder takes 30 s at once and attends in both directions. Here it runs after every
    ``every`` seconds of new speech on all that has come of the current 30 s block, in its place in
    the block and followed by silence. Each run takes as long as a whole block. A state is returned
    once ``look_ahead`` seconds of speech after it are known, or the speech has ended, and is never
    changed. It differs from that of the whole speech only because later speech is missing. Speech
    that comes at once (``last`` in the first call) gives exactly the states of the whole.

    The spectrogram depends on the largest power in the speech, which may come later. Until the
    speech ends, the largest power is taken to be at least that of usual speech.

    Deviation from the states of the whole speech, in % of the RMS of each of the four layers, with
    a look-ahead of 0.4 s. English speech that begins with 3 s of near silence, in pieces of 0.2 s:

    - first 4 s, random weights of the true size: 4 %, the worst state 8 % (the embedding: below
      1 %). Without the rule on the largest power: 31 to 34 %, the worst 45 %.
    - first 4 s, trained weights (whisper tiny.en): 6, 14, 22 and 43 %, the worst 52 %; nearly the
      same without the rule. Trained weights attend more to later speech.
    - first 10 s: random 18 to 20 %, the worst 33 %; trained 7, 15, 19 and 30 %, the worst 91 %.
    - first 4 s, look-ahead 1.6 s, trained, without the rule: 2, 6, 12 and 18 %, the worst 36 %.
    - 30 s: not measured.

    Encoding only the last 4 s, at the start of a block, deviated by 70 to 140 % (random weights),
    because states depend on their place in the block.

    For one thread. Raises InputError if a setting is negative, and passes on the encoder's errors.
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
            raise InputError(
                "look_ahead and every must be seconds and not negative, not "
                f"{look_ahead} and {every}"
            )
        self.look_ahead = look_ahead
        self._encoder, self._original = encoder, original
        self._hold = math.ceil(look_ahead * STEP_RATE)
        self._every = max(1, math.ceil(every * STEP_RATE))
        self.reset()

    def reset(self) -> None:
        """Forgets the speech so far; what comes next is a new speech."""
        self._block = np.zeros(0, np.float32)
        self._before = 0  # samples in earlier blocks
        self._returned = 0  # states of the current block that were returned

    def encode(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        """Takes more speech [S] (16 kHz, -1 to 1) and returns the new states, float32 [K, 5, 384].

        K may be 0. ``last`` ends the speech: all remaining states are returned, and what comes next
        is a new speech.
        """
        rest = np.asarray(samples, np.float32)
        if last and not self._before and not len(self._block):
            return whisper_states(rest, self._encoder, original=self._original)
        found = [np.zeros((0, LAYERS, WIDTH), np.float32)]
        while True:
            room = BLOCK - len(self._block)
            self._block = np.concatenate([self._block, rest[:room]])
            rest = rest[room:]
            found.append(self._new_states(last=last and not len(rest)))
            if len(self._block) == BLOCK:
                self._before += BLOCK
                self._block, self._returned = self._block[:0], 0
            if not len(rest):
                break
        if last:
            self.reset()
        return np.concatenate(found)

    def _new_states(self, *, last: bool) -> FloatArray:
        """Returns the states of the block that are ready and were not returned yet."""
        ends = last or len(self._block) == BLOCK
        steps = len(self._block) // _STEP
        if last and not self._original:
            steps = state_count(self._before + len(self._block)) - self._before // _STEP
        ready = steps if ends else steps - self._hold
        if ready - self._returned < (1 if ends else self._every):
            return np.zeros((0, LAYERS, WIDTH), np.float32)
        frames = None if self._original else BLOCK_FRAMES
        mel = (
            log_mel(self._block, frames)
            if ends
            else log_mel(self._block, frames, least=_USUAL_PEAK)
        )
        states = _encode(_padded(mel), self._encoder)[self._returned : ready]
        self._returned = ready
        return states


def _encode(mel: FloatArray, encoder: WhisperEncoderModel) -> FloatArray:
    """Returns the states [1500, 5, 384] of a spectrogram [80, 3000]."""
    return np.asarray(encoder.infer({"mel": mel[None]})["states"][0], np.float32)


def _padded(mel: FloatArray) -> FloatArray:
    """Returns a spectrogram [80, N] padded with zeros to [80, 3000]."""
    filled = np.zeros((len(mel), BLOCK_FRAMES), np.float32)
    filled[:, : mel.shape[1]] = mel
    return filled


def _whole(fps: float) -> int:
    if not 1 <= fps < math.inf:
        raise InputError(f"fps is {fps}: it must be a number of images a second, at least 1")
    return int(fps)
