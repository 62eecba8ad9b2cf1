"""Writes clips of synthetic people whose valence and arousal show in slow and in fast motion.

Slow motion (macro): a smile or frown, and brows, over seconds. Fast motion (micro): corners of the
mouth and brows that tremble by a tenth of a full movement, several times a second. Valence is a
function of smile and trembling mouth, arousal one of brows and trembling brows; so neither motion
alone tells them. The head moves slowly, and the light drifts, which mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from face_perception.avatar import PortraitError
from face_perception.errors import InputError
from face_perception.faces import crop_face, load_tracker
from face_perception.learning.data.dataset import Writer
from face_perception.learning.synthesis.actor import Actor
from face_perception.learning.synthesis.emfacs import UNITS, Act
from face_perception.learning.synthesis.synthetic_people import synthetic_person
from face_perception.types import FloatArray, Image

MACRO_SHARE = 0.6  # of valence and arousal; the rest is micro-motion
_SLOW, _FAST = (0.1, 0.4), (3.0, 6.0)  # hertz
_TREMBLE = 0.12  # amplitude of fast motion, as a share of a full movement
_HELD_OUT = (0.6, 0.8)  # shares of the clips at which validation and test begin
_NUMBERS = 1000  # of synthetic people that there are to choose from


@dataclass(frozen=True, slots=True)
class MotionClips:
    """Settings: number of ``clips``, ``frames`` of each, images a second, and seed."""

    clips: int = 60
    frames: int = 128
    rate: float = 30.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """What a face does over time; each array is [T].

    ``smile`` and ``brow`` are slow, from -1 to 1. ``mouth`` and ``brows`` are the strengths of the
    fast motions, 0 to 1, and ``mouth_phase`` and ``brows_phase`` their oscillations, -1 to 1.
    ``affect`` [T, 2] is valence and arousal.
    """

    smile: FloatArray
    brow: FloatArray
    mouth: FloatArray
    brows: FloatArray
    mouth_phase: FloatArray
    brows_phase: FloatArray
    affect: FloatArray


def draw_course(random: np.random.Generator, frames: int, rate: float) -> Course:
    """Draws a random course."""
    time = np.arange(frames) / rate

    def slow() -> FloatArray:
        waves = [
            np.sin(2 * math.pi * (f * time + random.random())) for f in random.uniform(*_SLOW, 2)
        ]
        return np.asarray(np.mean(waves, axis=0))

    def fast() -> FloatArray:
        return np.asarray(np.sin(2 * math.pi * (random.uniform(*_FAST) * time + random.random())))

    smile, brow = slow(), slow()
    mouth, brows = 0.5 + 0.5 * slow(), 0.5 + 0.5 * slow()
    micro = np.stack([2 * mouth - 1, 2 * brows - 1], axis=1)
    affect = MACRO_SHARE * np.stack([smile, brow], axis=1) + (1 - MACRO_SHARE) * micro
    return Course(smile, brow, mouth, brows, fast(), fast(), np.clip(affect, -1, 1))


def write_motion_clips(folder: Path, settings: MotionClips) -> Path:
    """Writes the clips into ``folder``, which must not exist, and returns it.

    Each clip shows another person and is a video of the data set. Raises DatasetError if the folder
    exists, and InputError for fewer than three clips, which three splits need, or if there are
    fewer people than clips.
    """
    if settings.clips < 3 or settings.frames < 2:
        raise InputError("motion clips need at least three clips of two frames")
    about = {
        "name": f"synthetic motion, seed {settings.seed}",
        "licence": "Apache-2.0",
        "made_by": "face_perception.learning.synthesis.motion_clips",
    }
    people = _people(settings.seed)
    with Writer(folder, **about) as out:
        for number in range(settings.clips):
            share = (number + 0.5) / settings.clips
            split = "train" if share < _HELD_OUT[0] else "validation"
            split = "test" if share >= _HELD_OUT[1] else split
            random = np.random.default_rng([61, settings.seed, number])
            course = draw_course(random, settings.frames, settings.rate)
            name = f"clip_{number:04d}"
            actor = next(people, None)
            if actor is None:
                raise InputError(
                    f"there are {number} synthetic people with a face that is found, and "
                    f"{settings.clips} clips: draw fewer, or run `face-perception doctor`"
                )
            for frame, image in enumerate(_film(course, actor, random)):
                valence, arousal = (float(v) for v in course.affect[frame])
                out.add(
                    {"file": image},
                    subject=name,
                    split=split,
                    video=name,
                    frame=frame,
                    valence=valence,
                    arousal=arousal,
                )
    return folder


def _film(course: Course, actor: Actor, random: np.random.Generator) -> list[Image]:
    """Returns the crops of one person, RGB uint8 [160, 160, 3] each."""
    count = len(course.smile)
    head = random.uniform((-0.08, -0.06, -0.03), (0.08, 0.06, 0.03))
    light, drift = random.uniform(0.8, 1.1), random.uniform(-0.25, 0.25)
    made = []
    for k in range(count):
        along = k / max(count - 1, 1)
        units = np.zeros(len(UNITS))
        smile = course.smile[k] + _TREMBLE * course.mouth[k] * course.mouth_phase[k]
        brow = course.brow[k] + _TREMBLE * course.brows[k] * course.brows_phase[k]
        units[UNITS.index(12 if smile > 0 else 15)] = abs(smile)
        for code in (1, 2) if brow > 0 else (4,):
            units[UNITS.index(code)] = abs(brow)
        valence, arousal = course.affect[k]
        act = Act(
            units=np.clip(units, 0, 1),
            lids=0.0,
            gaze=np.zeros(2),
            head=head * (2 * along - 1),
            expression="neutral",
            valence=float(valence),
            arousal=float(arousal),
        )
        image = actor.show(act).astype(np.float32) * (light + drift * (along - 0.5))
        crop = crop_face(np.clip(image, 0, 255).astype(np.uint8), actor.face).image
        noisy = cv2.GaussianBlur(crop, (0, 0), 0.5) + random.normal(0, 1.5, crop.shape)
        made.append(np.clip(noisy + 0.5, 0, 255).astype(np.uint8))
    return made


def _people(seed: int) -> Iterator[Actor]:
    """Yields people whose face the tracker finds, in random order, each once."""
    tracker = load_tracker()
    for number in np.random.default_rng([61, seed]).permutation(_NUMBERS):
        try:
            actor = Actor(synthetic_person(int(number)), tracker=tracker)
        except PortraitError:
            continue
        yield actor
