"""Simulates what a robot's microphone hears: its loudspeaker and a person in a room.

The room is a box with walls that reflect equally (Allen and Berkley, "Image method for efficiently
simulating small-room acoustics", JASA 1979), with images that are moved by up to 8 cm, because
walls with a regular echo sound unlike rooms. Each seed gives one room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.signal
import soxr

RATE = 16_000  # hertz
PLAYED_RATE = 48_000  # hertz, of avatar/audio
_SOUND = 343.0  # metres per second
_FINE = 4  # samples between two samples of the microphone, from which it takes its own

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Room:
    """A room with a robot and a person.

    ``echo`` and ``voice`` are impulse responses [N] at 16 kHz from the loudspeaker and from the
    person to the microphone; ``delay`` (seconds) is added to the echo. The clock of the
    microphone counts ``clock`` seconds in one true second. ``loudness`` is the RMS of the echo,
    ``noise`` that of the noise. The loudspeaker bends its sound by ``drive`` (of a sample that is
    as loud as speech on average) and ``asymmetry``, and has a band from ``low`` to ``high`` hertz.
    """

    echo: Array
    voice: Array
    delay: float
    clock: float
    loudness: float
    noise: float
    drive: float
    asymmetry: float
    low: float
    high: float


def speech_level(samples: Array) -> float:
    """Returns the RMS of the pieces of 20 ms in which there is sound."""
    pieces = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    power = (pieces**2).mean(axis=1)
    return math.sqrt(power[power > 1e-3 * power.max()].mean())


def impulse_response(
    random: np.random.Generator,
    size: Array,
    reverberation: float,
    source: Array,
    microphone: Array,
) -> Array:
    """Returns the response [N] of a box of ``size`` [3] metres between two points [3]."""
    volume, surface = size.prod(), 2 * (size * np.roll(size, 1)).sum()
    absorbed = 1 - math.exp(-0.161 * volume / (surface * reverberation))  # Eyring
    count = round(reverberation * RATE)
    axes = []
    for k in range(3):
        most = math.ceil(_SOUND * reverberation / (2 * size[k])) + 1
        number = np.arange(-most, most + 1)
        at = np.concatenate([2 * number * size[k] + source[k], 2 * number * size[k] - source[k]])
        bounces = np.concatenate([2 * np.abs(number), np.abs(number) + np.abs(number - 1)])
        axes.append((at - microphone[k], bounces))
    x, y, z = (one[0].astype(np.float32) for one in axes)
    square = (x**2)[:, None, None] + (y**2)[None, :, None] + (z**2)[None, None, :]
    bounces = sum(
        one[1].astype(np.int16)[(None,) * k + (slice(None),) + (None,) * (2 - k)]
        for k, one in enumerate(axes)
    )
    distance = np.sqrt(square)
    near = distance < _SOUND * reverberation * 0.98
    distance, bounces = distance[near], np.asarray(bounces)[near]
    moved = distance + np.where(bounces > 0, random.uniform(-0.08, 0.08, len(distance)), 0)
    moved = np.maximum(moved, 0.05)
    gain = (1 - absorbed) ** (bounces / 2) / moved
    at = moved / _SOUND * RATE
    whole = at.astype(int)
    part = at - whole
    response = np.bincount(whole, gain * (1 - part), count + 2)
    response += np.bincount(whole + 1, gain * part, count + 2)
    # In a flat room the late sound decays slower than Eyring's formula says. Near the loudspeaker
    # the decay cannot be told from the direct sound; it must not become slower, or even a growth.
    first = int(at.min())
    times = np.arange(len(response)) / RATE
    faster = max(0.0, 1 / reverberation - 1 / _reverberation(response))
    return response * 10 ** (-3 * faster * np.maximum(times - times[first], 0))


def _reverberation(response: Array) -> float:
    """Returns the time of a decay by 60 dB, from that by 5 to 25 dB (ISO 3382)."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    begin, end = (int(np.argmax(left < left[0] * 10 ** (-db / 10))) for db in (5, 25))
    return (end - begin) / RATE * 3


def make_room(seed: int) -> Room:
    """Returns a room of 10 to 200 m3 with a reverberation time of 0.15 to 0.6 s."""
    random = np.random.default_rng(seed)
    size = random.uniform([2.5, 2.0, 2.2], [8.0, 6.5, 3.8])
    reverberation = random.uniform(0.15, 0.6)
    microphone = random.uniform(0.25, 0.75, 3) * size

    def at_distance(least: float, most: float) -> Array:
        """Returns a point in the room so far from the microphone, or nearer."""
        direction = random.standard_normal(3) * [1, 1, 0.4]
        direction /= math.sqrt((direction**2).sum())
        point = microphone + random.uniform(least, most) * direction
        return np.clip(point, 0.2, size - 0.2)

    loudspeaker, person = at_distance(0.08, 1.0), at_distance(0.5, 2.5)
    loudness = 10 ** (random.uniform(-40, -20) / 20)
    return Room(
        echo=impulse_response(random, size, reverberation, loudspeaker, microphone),
        voice=impulse_response(random, size, reverberation, person, microphone),
        delay=random.uniform(0, 0.3),
        clock=1 + random.uniform(-1e-4, 1e-4),
        loudness=loudness,
        noise=loudness * 10 ** (-random.uniform(15, 40) / 20),
        drive=random.uniform(0, 0.2),
        asymmetry=random.uniform(-0.2, 0.2),
        low=random.uniform(100, 300),
        high=random.uniform(4000, 7500),
    )


def heard_in(
    room: Room, seed: int, played: Array, person: Array | None, at: float, level: float
) -> Array:
    """Returns what the microphone hears, float32 [N] at 16 kHz of its own clock.

    The loudspeaker plays ``played`` [M] at 48 kHz. A ``person`` [P] at 16 kHz begins ``at`` seconds
    of true time, ``level`` dB louder than the echo.
    """
    made = _loudspeaker(room, soxr.resample(played, PLAYED_RATE, RATE).astype(np.float64))
    echo = scipy.signal.oaconvolve(made, room.echo)[: len(made)]
    echo *= room.loudness / speech_level(echo)
    fine = soxr.resample(echo, RATE, _FINE * RATE)
    # Samples of the microphone, at the times at which it takes them.
    times = np.arange(len(echo)) / (RATE * room.clock) - room.delay
    heard = np.interp(times * _FINE * RATE, np.arange(len(fine)), fine, left=0.0)
    heard += room.noise * _noise(np.random.default_rng(seed), len(heard))
    if person is not None:
        voice = scipy.signal.oaconvolve(person, room.voice)
        # The sound is that of the person's mouth: take the way to the microphone off.
        voice = voice[np.argmax(np.abs(room.voice) > 0.5 * np.abs(room.voice).max()) :]
        voice *= room.loudness * 10 ** (level / 20) / speech_level(voice)
        first = round(at * room.clock * RATE)
        voice = voice[: len(heard) - first]
        heard[first : first + len(voice)] += voice
    return np.clip(heard, -1, 1).astype(np.float32)


def _loudspeaker(room: Room, samples: Array) -> Array:
    """Returns what a small loudspeaker makes of samples: less bass and treble, some distortion."""
    driven = room.drive / speech_level(samples) * samples
    bent = np.tanh(driven) + room.asymmetry * np.tanh(driven) ** 2
    frequency = np.fft.rfftfreq(len(bent), 1 / RATE)
    gain = 1 / (1 + (room.low / np.maximum(frequency, 1)) ** 4)
    gain /= 1 + (frequency / room.high) ** 8
    return np.fft.irfft(np.fft.rfft(bent) * np.sqrt(gain), len(bent))


def _noise(random: np.random.Generator, count: int) -> Array:
    """Returns noise with an RMS of 1, with less power at higher frequencies, as in rooms."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), count / RATE * 50))
    noise = np.fft.irfft(spectrum, count)
    return noise / noise.std()
