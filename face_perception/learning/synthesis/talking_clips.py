"""Writes films of synthetic people who talk: eSpeak NG speaks, and the portrait moves its lips.

They are a data set of talking videos, for the recipes ``musetalk`` and ``syncnet``. The lips follow
this project's viseme table, so they fit the sound exactly; nothing else about them is natural.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_perception.avatar import IdleMotionAnimator, PortraitError, PortraitRenderer
from face_perception.errors import InputError
from face_perception.faces import FaceTracker, load_tracker
from face_perception.learning.data.dataset import SPLITS, DatasetError, write_about
from face_perception.learning.mouth.data import SpeechClip, make_clips, random_requests
from face_perception.learning.synthesis.espeak import SPEECH_RATE, speak
from face_perception.learning.synthesis.synthetic_people import synthetic_person
from face_perception.media import write_mp4
from face_perception.speech import ARTICULATION_RATE, MouthShape, to_int16

FPS = 25  # images a second
_SIDE = 320  # pixels of a film
_NUMBERS = 1000  # of synthetic people that there are to choose from


@dataclass(frozen=True, slots=True)
class TalkingClips:
    """Settings: number of ``people``, each in one film of ``seconds``, and seed."""

    people: int = 12
    seconds: float = 6.0
    seed: int = 0


def write_talking_clips(folder: Path, settings: TalkingClips) -> Path:
    """Writes the films into ``folder``, which must not exist, and returns it.

    One person in six is for testing and one for validation, at least one each. Raises DatasetError
    if the folder exists, InputError for fewer than three people or less than a second, and
    SpeechError if eSpeak NG is missing.
    """
    if settings.people < len(SPLITS) or settings.seconds < 1:
        raise InputError("talking clips need at least three people of one second")
    if folder.exists():
        raise DatasetError(f"{folder} exists: choose another folder, or remove it")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    for split in SPLITS:
        (part / split).mkdir(parents=True)
    try:
        tracker = load_tracker()
        order = iter(np.random.default_rng([67, settings.seed]).permutation(_NUMBERS))
        for number, (split, clip) in enumerate(_clips(settings)):
            portrait = _next_portrait(order, tracker)
            film = part / split / f"person_{number:04d}.mp4"
            write_talking_film(film, portrait, clip, seed=settings.seed + number)
        write_about(
            part,
            name=f"synthetic talking people, seed {settings.seed}",
            licence="Apache-2.0",
            made_by="face_perception.learning.synthesis.talking_clips",
        )
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _clips(settings: TalkingClips) -> Iterator[tuple[str, SpeechClip]]:
    """Yields the split and the speech of each person."""
    spoken = speak(random_requests(settings.people, settings.seed))
    held_out = max(1, settings.people // 6)
    counts = (settings.people - 2 * held_out, held_out, held_out)
    first = 0
    for number, (split, count) in enumerate(zip(SPLITS, counts, strict=True)):
        # A clip goes on with the next utterance, which must not be one of another split.
        some = spoken[first : first + count]
        seed = len(SPLITS) * settings.seed + number
        for clip in make_clips(some, settings.seconds, seed, silent=0.0):
            yield split, clip
        first += count


def write_talking_film(film: Path, portrait: PortraitRenderer, clip: SpeechClip, seed: int) -> None:
    """Writes a film of a portrait that says ``clip``, 25 images a second."""
    animator = IdleMotionAnimator(seed)
    count = len(clip.samples) * FPS // SPEECH_RATE
    frames = []
    for k in range(count):
        # The nearest of 100 shapes a second.
        shape = clip.weights[min(k * ARTICULATION_RATE // FPS, len(clip.weights) - 1)]
        state = animator.state_at(k / FPS, MouthShape(*map(float, shape)), True)
        frames.append((k / FPS, portrait.render(state)))
    write_mp4(film, frames, [(0.0, to_int16(clip.samples))], SPEECH_RATE)


def _next_portrait(order: Iterator[int], tracker: FaceTracker) -> PortraitRenderer:
    """Returns the next person whose face the tracker finds. Raises InputError if all fail."""
    for number in order:
        try:
            return PortraitRenderer(
                synthetic_person(int(number)), size=(_SIDE, _SIDE), tracker=tracker
            )
        except PortraitError:
            continue
    raise InputError("no synthetic person's face is found: run `face-perception doctor`")
