"""Detects whether a person speaks, with Silero's network and hysteresis on its probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from face_perception.errors import InputError
from face_perception.settings import check, setting
from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.echo.voice_over_echo import VoiceOverEcho

if TYPE_CHECKING:
    from face_perception.inference import Model

RATE = 16_000  # hertz
STEP = 512  # samples: 32 ms
VOICE_STEP = STEP / RATE  # seconds of sound that one state stands for
_CONTEXT = 64  # samples before a step that the network sees too


@dataclass(frozen=True, slots=True)
class VoiceState:
    """Holds the result of one step of 32 ms.

    Times are in seconds since the first sample after ``reset``.

    - ``end``: the end of the step.
    - ``probability``: the network's probability of speech in this step, 0 to 1. While an echo was
      removed from the sound: that of a person who talks over it.
    - ``speaking``: whether somebody speaks, after thresholds and times have been applied.
    - ``since``: when ``speaking`` last changed; NaN if it has not.
    """

    end: float
    probability: float
    speaking: bool
    since: float


@dataclass(frozen=True)
class VoiceActivitySettings:
    """Settings of ``VoiceActivity``."""

    enter: float = setting(
        0.5,
        "`speaking` becomes true at this probability. A larger value gives fewer false alarms and "
        "misses more speech. The published `probability` does not depend on any parameter.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    leave: float = setting(
        0.35,
        "`speaking` becomes false below this probability. Must not exceed `enter`.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    enter_time: float = setting(
        0.06,
        "The probability must stay at `enter` or above for this long before `speaking` becomes "
        "true. A larger value ignores longer noises.",
        minimum=0.0,
        maximum=10.0,
        unit="s",
        dynamic=True,
    )
    leave_time: float = setting(
        0.3,
        "The probability must stay below `leave` for this long before `speaking` becomes false. "
        "The default suits turn-taking: it bridges the pauses within a sentence. On labelled "
        "recordings `speaking` is then true in 59 % of the silence between words (36 % with 0.1, "
        "27 % with 0.06). To detect pauses set 0.06 or 0, with `enter_time` 0.03.",
        minimum=0.0,
        maximum=10.0,
        unit="s",
        dynamic=True,
    )


class VoiceActivity:
    """Detects speech in mono 16 kHz audio; gives a ``VoiceState`` for every 512 samples.

    ``model`` is the card ``voice_activity`` (Silero VAD). Speaking begins after the probability has
    been at least ``enter`` for ``enter_time`` seconds, and ends after it has been below ``leave``
    for ``leave_time`` seconds. Raises InputError if ``leave`` is above ``enter``.

    >>> from face_perception import inference, paths
    >>> from face_perception.speech import SpeechStream, make_chunk, read_wav
    >>> recording = read_wav(paths.resource("resources/speech/hello.wav"))
    >>> spoken = make_chunk(recording.samples.ravel(), recording.rate, 1, stamp=1.0)
    >>> (segment,) = SpeechStream([RATE]).push_chunk(spoken, now=0.0)
    >>> activity = VoiceActivity(inference.load("voice_activity"))
    >>> states = activity.detect(segment.samples[RATE])
    >>> any(state.speaking for state in states), states[0].speaking
    (True, False)
    """

    def __init__(self, model: Model, settings: VoiceActivitySettings | None = None) -> None:
        self.change_settings(settings or VoiceActivitySettings())
        self._model = model
        self.reset()

    def change_settings(self, settings: VoiceActivitySettings) -> None:
        """Uses other settings from the next step on. Raises InputError as the class does."""
        s = settings
        check(s)
        if s.leave > s.enter:
            raise InputError(f"leave is {s.leave}: it must not be above enter ({s.enter})")
        self._enter, self._leave = s.enter, s.leave
        self._enter_time, self._leave_time = s.enter_time, s.leave_time

    def reset(self) -> None:
        """Forgets the audio so far. Call it before audio that does not continue it."""
        self._rest = self._rest_heard = np.zeros(0, np.float32)
        self._over_echo = VoiceOverEcho()
        self._context = np.zeros(_CONTEXT, np.float32)
        self._h = np.zeros((1, 1, 128), np.float32)
        self._c = np.zeros((1, 1, 128), np.float32)
        self._steps = 0
        self._speaking, self._since = False, math.nan
        self._turned: float | None = None  # since when the probability contradicts ``speaking``

    def detect(self, samples: AudioSamples, heard: AudioSamples | None = None) -> list[VoiceState]:
        """Takes the next samples [N] in [-1, 1] and returns the states of the steps they complete.

        ``heard`` [N] is what the microphone heard before an echo was removed from it. Raises
        ModelError if the network fails.
        """
        heard = samples if heard is None else heard
        samples = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        heard = np.concatenate([self._rest_heard, heard.astype(np.float32, copy=False)])
        found = []
        whole = len(samples) // STEP * STEP
        for start in range(0, whole, STEP):
            step = slice(start, start + STEP)
            found.append(self._step(samples[step], heard[step]))
        self._rest, self._rest_heard = samples[whole:], heard[whole:]
        return found

    def _step(self, samples: AudioSamples, heard: AudioSamples) -> VoiceState:
        loud = self._over_echo.amplified(heard, samples)
        given = np.concatenate([self._context, loud])[None]
        out = self._model.infer({"input": given, "h": self._h, "c": self._c})
        self._h, self._c = out["hn"], out["cn"]
        self._context = loud[-_CONTEXT:]
        begin = self._steps * STEP / RATE
        self._steps += 1
        end = self._steps * STEP / RATE
        probability = float(out["speech_probs"][0])
        probability = self._over_echo.probability(probability, heard, samples)
        turned = probability < self._leave if self._speaking else probability >= self._enter
        if not turned:
            self._turned = None
        else:
            self._turned = begin if self._turned is None else self._turned
            if end - self._turned >= (self._leave_time if self._speaking else self._enter_time):
                self._speaking, self._since = not self._speaking, self._turned
                self._turned = None
        return VoiceState(end, probability, self._speaking, self._since)
