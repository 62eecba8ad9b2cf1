"""Generates hums, tones, buzzes and beeps, which must not move the lips of the talking face."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

RATE = 16_000  # hertz
_BEFORE = 0.2  # seconds of silence
_LASTS = 1.3  # seconds of sound

Samples = npt.NDArray[np.float32]


@functools.cache
def steady_sounds() -> dict[str, Samples]:
    """Returns sounds by name: float32 [24000] each, 16 kHz, with 0.2 s of silence before.

    The noise in two of them is 20 dB below the sound, and always the same.
    """
    t = np.arange(round(_LASTS * RATE)) / RATE

    def tone(hertz: float) -> npt.NDArray[np.float64]:
        made: npt.NDArray[np.float64] = np.sin(2 * np.pi * hertz * t + 0.3)
        return made

    def buzz(hertz: float) -> npt.NDArray[np.float64]:  # a sawtooth without aliases
        turn = np.exp(2j * np.pi * hertz * t)
        harmonic = np.full_like(turn, np.exp(0.3j))
        made = np.zeros_like(t)
        for k in range(1, int(7000 / hertz)):
            harmonic *= turn  # its imaginary part is tone(hertz * k)
            made += harmonic.imag / k
        return made

    beeping = (t % 0.45 < 0.2).astype(float)
    noise = np.random.default_rng(1).standard_normal(len(t))
    hum = tone(50) + 0.5 * tone(100) + 0.3 * tone(150) + 0.1 * tone(250)
    sounds = {
        **{f"tone {hertz} Hz": tone(hertz) for hertz in (50, 100, 150, 300, 440, 1000, 2000)},
        **{f"buzz {hertz} Hz": buzz(hertz) for hertz in (60, 100, 120, 150, 220, 300)},
        **{f"square wave {hertz} Hz": np.sign(tone(hertz)) for hertz in (100, 150, 200)},
        **{f"beeps {hertz} Hz": tone(hertz) * beeping for hertz in (150, 440, 1000)},
        **{f"short buzzes {hertz} Hz": buzz(hertz) * beeping for hertz in (150, 300, 440)},
        "mains hum": hum,
        "mains hum with noise": hum + 0.1 * hum.std() * noise,
        "buzz 120 Hz with noise": buzz(120) + 0.1 * buzz(120).std() * noise,
        "dial tone": tone(350) + tone(440),
        "key 5 of a telephone": tone(770) + tone(1336),
        "siren": np.sin(2 * np.pi * 700 * t - 150 * np.cos(2 * np.pi * t)),
        "rising tone": np.sin(2 * np.pi * (200 * t + 200 * t**2)),
        "uneven motor": buzz(110) * (1 + 0.2 * tone(3)),
    }
    silence = np.zeros(round(_BEFORE * RATE))
    return {
        name: np.concatenate([silence, sound]).astype(np.float32) for name, sound in sounds.items()
    }


def at_level(samples: Samples, decibels: float) -> Samples:
    """Returns samples [N] with this RMS, in dB of full scale. They must not all be 0."""
    level = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    made: Samples = (samples * (10 ** (decibels / 20) / level)).astype(np.float32)
    return made
