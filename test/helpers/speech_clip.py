"""Speech clips for tests, and measures of how a mouth follows them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from face_perception.speech import MOUTH_RATE

OWN = Path(__file__).parents[1] / "data" / "speech_espeak.wav"
RECORDED = Path(__file__).parents[1] / "data" / "speech_recorded.wav"
STEP = 0.01


def read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert file.getframerate() == MOUTH_RATE
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return data.astype(np.float32) / 32768


def opening(weights: np.ndarray) -> np.ndarray:
    """Returns roughly how far the lips are apart."""
    jaw, _, rounded, press, teeth, tuck = weights.T
    return (jaw + 0.35 * teeth + 0.2 * tuck) * (1 - press) + 0.15 * rounded


def envelope(samples: np.ndarray) -> np.ndarray:
    """Returns the RMS of windows of 50 ms, every 10 ms."""
    padded = np.pad(samples.astype(np.float64), (400, 800))
    return np.array(
        [np.sqrt(np.mean(padded[i : i + 800] ** 2)) for i in range(0, len(samples) - 159, 160)]
    )


def pauses(level: np.ndarray) -> list[slice]:
    """Returns the runs of at least 300 ms that are 35 dB below the loudest window."""
    quiet = np.concatenate([[False], level < level.max() * 10 ** (-35 / 20), [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(int)))
    runs = edges.reshape(-1, 2)
    return [slice(a, b) for a, b in runs if b - a >= 30]


def noise(seconds: float, level: float, exponent: float) -> np.ndarray:
    """Returns noise whose power falls with frequency to the power of ``exponent``; ``level`` is its
    RMS.
    """
    n = int(seconds * MOUTH_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(4).standard_normal(n))
    spectrum /= np.maximum(np.arange(len(spectrum)), n / MOUTH_RATE * 20) ** (exponent / 2)
    made = np.fft.irfft(spectrum, n)
    return (made * level / made.std()).astype(np.float32)
