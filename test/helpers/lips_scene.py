"""Faces whose lips move as wanted, and what a microphone hears of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from speech_clip import RECORDED, opening, read

from face_perception import faces
from face_perception.attention import WhoSpeaks
from face_perception.speech import MOUTH_RATE, AudioChunk, BandMouth, SoundLevel
from face_perception.types import Face, HeadPose, Roi

FPS = 25
NOISE = 0.006  # of the opening, in distances between the outer canthi
_FACING = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])

Lips = Callable[[float], float]  # the opening at a time


def face_with_lips(face_id: str, gap: float, x: float = 0.0) -> Face:
    """Returns a face in front of the camera whose lips are ``gap`` canthus distances apart."""
    points = np.zeros((478, 3), np.float32)
    points[faces.RIGHT_OUTER_CANTHUS], points[faces.LEFT_OUTER_CANTHUS] = (
        (-50, -30, 0),
        (50, -30, 0),
    )
    points[faces.LIPS_INNER_UPPER, 1], points[faces.LIPS_INNER_LOWER, 1] = 40, 40 + 100 * gap
    pose = HeadPose(np.array([x, 0.0, 1.0]), _FACING)
    return Face(face_id, 0.9, Roi(0, 0, 9, 9), points, pose)


@dataclass(frozen=True)
class Sound:
    """Voice and level, each (time, value) in order."""

    voice: list[tuple[float, float]]
    level: list[tuple[float, float]]


def recorded(seconds: float, begin: float = 0.0) -> np.ndarray:
    """Returns recorded speech, which is repeated if needed."""
    return np.resize(
        np.roll(read(RECORDED), -round(begin * MOUTH_RATE)), round(seconds * MOUTH_RATE)
    )


def speaking_lips(samples: np.ndarray) -> Lips:
    """Returns lips that move with speech."""
    mouth = BandMouth()
    mouth.push_samples(samples)
    times = np.arange(0, len(samples) / MOUTH_RATE, 0.01)
    gaps = 0.02 + 0.4 * opening(np.array([mouth.shape_at(float(t)).values() for t in times]))
    return lambda t: float(np.interp(t, times, gaps))


def still_lips(t: float) -> float:
    return 0.02


def chewing_lips(t: float) -> float:
    """Chews 1.3 times a second with open lips."""
    return 0.02 + 0.08 * (1 - math.cos(2 * math.pi * 1.3 * t))


def smiling_lips(t: float) -> float:
    """Parts the lips for two of every four seconds."""
    return 0.02 + 0.05 * min(1.0, max(0.0, 1.5 * math.sin(2 * math.pi * t / 4)))


def heard(samples: np.ndarray) -> Sound:
    """Returns what is heard of speech; a voice is wherever it is not silent."""
    measured = SoundLevel().measure(AudioChunk(0.0, MOUTH_RATE, samples))
    times, levels = np.array(list(measured)).T
    voice = [
        (float(t), 0.98 if level > -45 else 0.02) for t, level in zip(times, levels, strict=True)
    ]
    return Sound(voice, list(zip(times.tolist(), levels.tolist(), strict=True)))


def play(
    people: Mapping[str, Lips], sound: Sound, seconds: float, who: WhoSpeaks, offset: float = 0.0
) -> Iterator[tuple[float, dict[str, float]]]:
    """Yields the probabilities of each image; stamps of the sound are ``offset`` seconds later."""
    random = np.random.default_rng(0)
    voice, level = list(reversed(sound.voice)), list(reversed(sound.level))
    for k in range(round(seconds * FPS)):
        stamp = k / FPS
        while voice and voice[-1][0] <= stamp - 0.06:
            time, value = voice.pop()
            who.hear_voice(time + offset, value)
        while level and level[-1][0] <= stamp - 0.06:
            time, value = level.pop()
            who.hear_level(time + offset, value)
        seen = [
            face_with_lips(
                face_id, max(0.0, lips(stamp) + NOISE * random.standard_normal()), 0.3 * n
            )
            for n, (face_id, lips) in enumerate(people.items())
        ]
        yield stamp, who.update(stamp, seen)
