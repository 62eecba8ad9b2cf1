"""A stream of windows over given states."""

from __future__ import annotations

from typing import Any

import numpy as np

from face_perception.speech import WhisperWindowStream

RATE = 16_000  # samples per second, the rate of whisper


def spoken(states: np.ndarray) -> WhisperWindowStream:
    """Returns a MuseTalk 1.0 stream that has taken speech with these states [T, 5, 384]."""

    class Encoder:
        def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
            filled = np.zeros((1, 1500, 5, 384), np.float32)
            filled[0, : len(states)] = states
            return {"states": filled}

    stream = WhisperWindowStream(Encoder(), original=True)
    stream.append_speech(np.zeros(len(states) * RATE // 50, np.float32), last=True)
    return stream
