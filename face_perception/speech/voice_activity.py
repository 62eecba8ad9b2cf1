"""Whether a person speaks: Silero's network on 32 ms chunks, with hysteresis over its answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face_perception.errors import InputError
from face_perception.inference import Model
from face_perception.speech.audio_chunks import AudioSamples

RATE = 16_000
STEP = 512
_CONTEXT = 64


@dataclass(frozen=True, slots=True)
class VoiceState:
    """Of one step of 32 ms, whose end lies ``end`` seconds after the first sample since ``reset``.

    ``probability`` [0, 1] is the network's output for this step alone, without threshold or
    hang-over. ``speaking`` has both. ``since`` is when it last changed, on the same scale as
    ``end``; NaN: not since the reset.
    """

    end: float
    probability: float
    speaking: bool
    since: float


class VoiceActivity:
    """Mono 16 kHz audio in, an ``VoiceState`` every 512 samples out.

    ``model`` is the card `voice_activity`: Silero VAD, which sees each step with the 64 samples
    before it and carries a state. Speaking begins when the probability has been at least ``enter``
    for ``enter_time`` seconds, and ends when it has been below ``leave`` for ``leave_time``
    seconds; with both times 0, and ``leave`` equal to ``enter``, the state follows the probability.
    Raises InputError where ``leave`` is above ``enter``.
    """

    def __init__(
        self,
        model: Model,
        *,
        enter: float = 0.5,
        leave: float = 0.35,
        enter_time: float = 0.06,
        leave_time: float = 0.3,
    ) -> None:
        if leave > enter:
            raise InputError(f"leave ({leave}) must not be above enter ({enter})")
        self._model = model
        self._enter, self._leave = enter, leave
        self._enter_time, self._leave_time = enter_time, leave_time
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard: before audio that does not continue it."""
        self._rest = np.zeros(0, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._h = np.zeros((1, 1, 128), np.float32)
        self._c = np.zeros((1, 1, 128), np.float32)
        self._steps = 0
        self._speaking, self._since = False, math.nan
        self._turned: float | None = None  # since when the probability says the opposite

    def detect(self, samples: AudioSamples) -> list[VoiceState]:
        """Takes float32 samples in [-1, 1] and returns what is known of the steps they complete.

        Raises ModelError where the network fails.
        """
        samples = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        found = []
        whole = len(samples) // STEP * STEP
        for start in range(0, whole, STEP):
            found.append(self._step(samples[start : start + STEP]))
        self._rest = samples[whole:]
        return found

    def _step(self, samples: AudioSamples) -> VoiceState:
        given = np.concatenate([self._context, samples])[None]
        out = self._model.infer({"input": given, "h": self._h, "c": self._c})
        self._h, self._c = out["hn"], out["cn"]
        self._context = samples[-_CONTEXT:]
        begin = self._steps * STEP / RATE
        self._steps += 1
        end = self._steps * STEP / RATE
        probability = float(out["speech_probs"][0])
        turned = probability < self._leave if self._speaking else probability >= self._enter
        if not turned:
            self._turned = None
        else:
            self._turned = begin if self._turned is None else self._turned
            if end - self._turned >= (self._leave_time if self._speaking else self._enter_time):
                self._speaking, self._since = not self._speaking, self._turned
                self._turned = None
        return VoiceState(end, probability, self._speaking, self._since)
