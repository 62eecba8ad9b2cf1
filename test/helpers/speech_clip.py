"""The speech clips of the tests, and measures of how a mouth follows them."""

from __future__ import annotations

import functools
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
    """About how far the lips are apart."""
    jaw, _, rounded, press, teeth, tuck = weights.T
    return (jaw + 0.35 * teeth + 0.2 * tuck) * (1 - press) + 0.15 * rounded


def envelope(samples: np.ndarray) -> np.ndarray:
    """RMS in 50 ms about every 10 ms."""
    padded = np.pad(samples.astype(np.float64), (400, 800))
    return np.array(
        [np.sqrt(np.mean(padded[i : i + 800] ** 2)) for i in range(0, len(samples) - 159, 160)]
    )


def pauses(level: np.ndarray) -> list[slice]:
    """Runs of at least 300 ms that are 35 dB below the loudest."""
    quiet = np.concatenate([[False], level < level.max() * 10 ** (-35 / 20), [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(int)))
    runs = edges.reshape(-1, 2)
    return [slice(a, b) for a, b in runs if b - a >= 30]


def noise(seconds: float, level: float, exponent: float) -> np.ndarray:
    """Noise whose power falls with frequency to the power of ``exponent``; ``level`` is its RMS."""
    n = int(seconds * MOUTH_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(4).standard_normal(n))
    spectrum /= np.maximum(np.arange(len(spectrum)), n / MOUTH_RATE * 20) ** (exponent / 2)
    made = np.fft.irfft(spectrum, n)
    return (made * level / made.std()).astype(np.float32)


def at_level(samples: np.ndarray, decibels: float) -> np.ndarray:
    """The samples with this RMS, in dB of full scale."""
    level = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    return (samples * (10 ** (decibels / 20) / level)).astype(np.float32)


@functools.cache
def steady_sounds() -> dict[str, np.ndarray]:
    """A second and a half each of hums, tones, buzzes and beeps, which begin after 0.2 s."""
    t = np.arange(round(1.3 * MOUTH_RATE)) / MOUTH_RATE

    def tone(hertz: float) -> np.ndarray:
        return np.sin(2 * np.pi * hertz * t + 0.3)

    def buzz(hertz: float) -> np.ndarray:  # a sawtooth
        return sum(tone(hertz * k) / k for k in range(1, int(7000 / hertz)))

    hum = tone(50) + 0.5 * tone(100) + 0.3 * tone(150) + 0.1 * tone(250)
    beeping = (t % 0.45 < 0.2).astype(float)
    random = np.random.default_rng(1).standard_normal(len(t))
    sounds = {
        **{f"tone {hertz} Hz": tone(hertz) for hertz in (50, 100, 150, 300, 440, 1000, 2000)},
        **{f"buzz {hertz} Hz": buzz(hertz) for hertz in (60, 100, 120, 150, 220, 300)},
        **{f"square {hertz} Hz": np.sign(tone(hertz)) for hertz in (100, 150, 200)},
        **{f"beeps {hertz} Hz": tone(hertz) * beeping for hertz in (150, 440, 1000)},
        **{f"short buzzes {hertz} Hz": buzz(hertz) * beeping for hertz in (150, 300, 440)},
        "mains hum": hum,
        "mains hum and noise": hum + 0.08 * random,
        "buzz 120 Hz and noise": buzz(120) + 0.1 * buzz(120).std() * random,
        "dial tone": tone(350) + tone(440),
        "key 5 of a telephone": tone(770) + tone(1336),
        "siren": np.sin(2 * np.pi * 700 * t - 150 * np.cos(2 * np.pi * t)),
        "rising tone": np.sin(2 * np.pi * (200 * t + 200 * t**2)),
        "motor that turns unevenly": buzz(110) * (1 + 0.2 * tone(3)),
    }
    silence = np.zeros(MOUTH_RATE // 5)
    return {name: np.concatenate([silence, sound]) for name, sound in sounds.items()}
