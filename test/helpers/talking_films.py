"""Talking people for tests: a film of a drawn person, and clips of painted faces without a film."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from face_perception.avatar import PortraitRenderer
from face_perception.faces import FaceTracker
from face_perception.learning.data.dataset import SPLITS, DataSource, write_about
from face_perception.learning.mouth.data import SpeechClip
from face_perception.learning.musetalk.talking_videos import FPS, ROWS, TalkingClip, TalkingVideos
from face_perception.learning.synthesis.synthetic_people import synthetic_person
from face_perception.learning.synthesis.talking_clips import write_talking_film

RATE = 16000
ABOUT = {"name": "three films", "licence": "CC0-1.0", "made_by": "a test"}


def made_up_speech(seconds: float, seed: int) -> SpeechClip:
    """Returns a buzz whose level moves the jaw, without eSpeak NG."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    level = 0.5 + 0.5 * np.sin(2 * np.pi * (3 + random.random()) * time + random.random())
    buzz = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12))
    weights = np.zeros((len(time) // 160 + 1, 6))
    weights[: len(time[::160]), 0] = level[::160]
    return SpeechClip((0.2 * level * buzz).astype(np.float32), (), weights)


def write_film(folder: Path, tracker: FaceTracker, seconds: float) -> Path:
    """Writes a data set with one film, in ``train``."""
    portrait = PortraitRenderer(synthetic_person(3), size=(160, 160), tracker=tracker)
    (folder / "train").mkdir(parents=True)
    write_talking_film(folder / "train" / "film.mp4", portrait, made_up_speech(seconds, 0), seed=0)
    write_about(folder, **ABOUT)
    return folder


def painted_videos(folder: Path, frames: int = 26) -> TalkingVideos:
    """Returns one clip in each split, of a painted face whose mouth opens with the sound.

    Files that a test keeps with the faces go into ``folder`` / faces.
    """
    clips = tuple(painted_clip(split, k, frames) for k, split in enumerate(SPLITS))
    return TalkingVideos(DataSource(folder, *ABOUT.values()), folder / "faces", clips)


def painted_clip(split: str, seed: int, frames: int) -> TalkingClip:
    speech = made_up_speech(frames / FPS, seed)
    rows, columns = np.mgrid[:ROWS, :256]
    faces, points = [], []
    for frame in range(frames):
        gap = 4 + 30 * speech.weights[frame * 4, 0]
        inside = ((columns - 128) / 50) ** 2 + ((rows - 190) / gap) ** 2 < 1
        shade = 90 + 60 * np.cos((columns - 128) / 90) + 2 * (frame % 3)
        face = np.where(inside, 30, shade)[..., None] * np.array([1.0, 0.8, 0.7])
        faces.append(face.astype(np.uint8))
        place = np.random.default_rng(frame).uniform(20, 236, (68, 2))
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        place[48:, 0], place[48:, 1] = 128 - 50 * np.cos(angles), 190 - gap * np.sin(angles)
        points.append(place.astype(np.float32))
    sizes = np.full((frames, 2), 200, np.int64)
    return TalkingClip("painted", split, np.stack(faces), np.stack(points), sizes, speech.samples)
