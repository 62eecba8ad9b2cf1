"""Simulates the recording of speech: room, noise, equipment and level."""

from __future__ import annotations

import numpy as np

from face_perception.learning.synthesis.espeak import SPEECH_RATE, Samples

_Random = np.random.Generator


def simulate_recording(samples: Samples, random: _Random) -> Samples:
    """Returns clean speech [S], 16 kHz, as a random microphone records it: [S], -1 to 1.

    One in four recordings is close and nearly clean. The speech is not delayed.
    """
    close = random.random() < 0.25
    made = samples.astype(np.float64)
    if not close and random.random() < 0.7:
        made = _in_a_room(made, random)
    made = _coloured(made, random, most_db=4.0 if close else 10.0)
    level = _speech_level(made)
    if level > 0:
        # RMS level, from a distant whisper to a microphone with a high gain.
        made *= 10 ** (random.uniform(-46, -14) / 20) / level
        level = _speech_level(made)
    snr = random.uniform(35, 65) if close else random.uniform(8, 45)
    made += noise(len(made), random) * max(level, 1e-4) * 10 ** (-snr / 20)
    made = np.clip(made, -1, 1)
    # Rounded to 16-bit PCM. Digital silence stays silent, as from a media player.
    return (np.rint(made * 32767) / 32767).astype(np.float32)


def noise(count: int, random: _Random) -> np.ndarray:
    """Returns random noise [count] of RMS 1: hiss to rumble, sometimes with hum or modulation."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / SPEECH_RATE)
    spectrum /= np.maximum(hertz, 40.0) ** (random.uniform(0, 2) / 2)
    made = np.fft.irfft(spectrum, count)
    made /= made.std() + 1e-12
    time = np.arange(count) / SPEECH_RATE
    if random.random() < 0.25:
        pitch = random.choice([50.0, 60.0, random.uniform(80, 400)])
        for k in range(1, random.integers(2, 12)):
            tone = np.sin(2 * np.pi * (k * pitch * time + random.random()))
            made = made + random.uniform(0, 1.5) / k * tone
    if random.random() < 0.3:
        swing = np.sin(2 * np.pi * (random.uniform(0.1, 1.0) * time + random.random()))
        made = made * (1 + 0.5 * swing)
    scaled: np.ndarray = made / (made.std() + 1e-12)
    return scaled


def _in_a_room(samples: np.ndarray, random: _Random) -> np.ndarray:
    """Adds reverberation that falls by 60 dB in 0.1 to 0.6 s after the direct sound."""
    decay = random.uniform(0.1, 0.6)
    count = int(decay * SPEECH_RATE)
    time = np.arange(count) / SPEECH_RATE
    response = random.standard_normal(count) * 10 ** (-3 * time / decay)
    response[: int(random.uniform(0.001, 0.006) * SPEECH_RATE)] = 0.0
    response /= np.sqrt((response**2).sum()) + 1e-12
    response *= 10 ** (-random.uniform(2, 18) / 20)
    response[0] = 1.0
    size = len(samples) + count
    made = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    through: np.ndarray = made[: len(samples)]
    return through


def _coloured(samples: np.ndarray, random: _Random, most_db: float) -> np.ndarray:
    """Applies a smooth random equaliser, and sometimes the frequency band of a telephone."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SPEECH_RATE)
    knots = np.array([0, 100, 300, 800, 1800, 3500, 6000, 8000])
    gains = random.uniform(-most_db, most_db, len(knots))
    curve = np.interp(hertz, knots, gains)
    if random.random() < 0.1:
        curve -= 40.0 * ((hertz < 250) | (hertz > 3600))
    made: np.ndarray = np.fft.irfft(spectrum * 10 ** (curve / 20), len(samples))
    return made


def _speech_level(samples: np.ndarray) -> float:
    """Returns the RMS level of the louder half; 0 for silence."""
    blocks = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    level = np.sqrt((blocks**2).mean(axis=1)) if len(blocks) else np.zeros(1)
    return float(level[level >= np.median(level)].mean()) if level.any() else 0.0
