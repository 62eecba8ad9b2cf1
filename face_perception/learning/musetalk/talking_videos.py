"""Reads films of talking people into faces, points and sound, and keeps them in files.

A data set of talking videos is a folder with ``dataset.yaml`` and the folders ``train``,
``validation`` and ``test``, with films of one person each, with sound; see
docs/learning_talking_face.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import soxr

from face_perception import faces
from face_perception.avatar import NO_FACE, Box, followed_face, mesh_box
from face_perception.errors import InputError
from face_perception.faces import FaceTracker, load_tracker
from face_perception.learning.data.dataset import (
    ABOUT,
    SPLITS,
    DatasetError,
    DataSource,
    read_about,
)
from face_perception.learning.musetalk.frame_sampling import SIDE, union_box
from face_perception.learning.musetalk.sync_mel import RATE
from face_perception.media import FilmSound, FrameReader
from face_perception.outside_files import one_error
from face_perception.types import FloatArray, Image

FPS = 25  # images a second
BOXES = ("avatar", "published")
ROWS = 320  # of a kept face: 256 of the face box, and what is below the chin
FILMS = (".mp4", ".mkv", ".mov", ".avi", ".webm")
_ARRAYS = ("faces", "points", "sizes", "sound")
_FORMAT = 1  # counts changes of what is kept
_HAS = f"{ABOUT} and the folders {', '.join(SPLITS)} of films (docs/learning_talking_face.md)"


@dataclass(frozen=True, slots=True)
class TalkingClip:
    """Consecutive frames of one face, 25 a second, with their sound.

    - ``faces``: RGB uint8 [F, 320, 256, 3]. The first 256 rows are the face box, resized; the rest
      is the picture below it.
    - ``points``: float32 [F, 68, 2], in pixels of ``faces``.
    - ``sizes``: [F, 2] int64, width and height of the face box in the film, pixels.
    - ``sound``: float32 [S], 16 kHz, mono, from the first frame on.
    """

    name: str
    split: str
    faces: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.int64]
    sound: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True, slots=True)
class TalkingVideos:
    """The clips of a data set. ``folder`` is where they are kept."""

    source: DataSource
    folder: Path
    clips: tuple[TalkingClip, ...]

    def part(self, split: str, least: int = 1) -> tuple[TalkingClip, ...]:
        """Returns the clips of a split with at least ``least`` frames.

        Raises InputError if there is no such clip.
        """
        found = tuple(c for c in self.clips if c.split == split and len(c) >= least)
        if not found:
            raise InputError(
                f"{self.source.folder} has no film in {split}/ with {least} frames of one face in "
                f"a row at {FPS} a second: add longer films"
            )
        return found


def read_videos(
    folder: Path,
    cache: Path,
    *,
    box: str = BOXES[0],
    report: Callable[[str], None] = lambda line: None,
) -> TalkingVideos:
    """Returns the clips of all films of a data set.

    Faces are found once and kept in ``cache``, in a folder for each state of the films. ``box`` is
    ``avatar``, the face box that an avatar gets at run time, or ``published``: the box of the
    detected face and of its points, with which the released code trains. A frame without a face
    ends a clip. Raises DatasetError if ``dataset.yaml`` or all films are missing, InputError if a
    film cannot be read or has no sound, or the cache is damaged.
    """
    source = read_about(folder, _HAS)
    films = [
        film
        for split in SPLITS
        for film in sorted((folder / split).glob("*"))
        if film.suffix.lower() in FILMS
    ]
    if not films:
        raise DatasetError(f"{folder} has no films ({', '.join(FILMS)}): a data set has {_HAS}")
    kept = cache / _key(films, box)
    if not kept.exists():
        _keep(films, kept, box, report)
    clips = []
    for place in sorted(path for path in kept.iterdir() if path.is_dir()):
        split, _, name = place.name.partition("_")
        with one_error(f"{place}", "remove this folder", InputError):
            arrays = [np.load(place / f"{array}.npy", mmap_mode="r") for array in _ARRAYS]
            clips.append(TalkingClip(name, split, *arrays))
    return TalkingVideos(source, kept, tuple(clips))


def face_image(clip: TalkingClip, frame: int, margin: float = 0.0) -> Image:
    """Returns a face, RGB uint8 [256, 256, 3], with ``margin`` below the chin.

    The margin is in pixels of the film; at most a quarter of the face's height is kept.
    """
    height = float(clip.sizes[frame, 1])
    rows = min(round(SIDE * (height + margin) / height), ROWS)
    image = np.asarray(clip.faces[frame, :rows])
    if rows == SIDE:
        return image
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _key(films: Sequence[Path], box: str) -> str:
    """Returns the name of the folder in the cache: a hash of what the faces depend on."""
    states = [(str(film.resolve()), film.stat().st_size, film.stat().st_mtime_ns) for film in films]
    return hashlib.sha256(f"{_FORMAT} {box} {states}".encode()).hexdigest()[:16]


def _keep(films: Sequence[Path], kept: Path, box: str, report: Callable[[str], None]) -> None:
    """Writes the clips into the new folder ``kept``, which appears when it is complete."""
    part = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    tracker = load_tracker()
    try:
        for number, film in enumerate(films):
            sound = _sound(film)
            count = 0
            for first, frames in _stretches(film, tracker, box):
                place = part / f"{film.parent.name}_{number:05d}_{count:03d}_{film.stem}"
                place.mkdir()
                begin, end = (round(k * RATE / FPS) for k in (first, first + len(frames)))
                arrays = (*(np.stack(one) for one in zip(*frames, strict=True)), sound[begin:end])
                for name, array in zip(_ARRAYS, arrays, strict=True):
                    np.save(place / f"{name}.npy", array)
                count += 1
            report(f"faces of {film.name}: {count} clips ({number + 1} of {len(films)} films)")
        if not kept.exists():  # another run may have computed the same
            part.rename(kept)
    finally:
        shutil.rmtree(part, ignore_errors=True)


_Frame = tuple[Image, npt.NDArray[np.float32], npt.NDArray[np.int64]]


def _stretches(film: Path, tracker: FaceTracker, box: str) -> Iterator[tuple[int, list[_Frame]]]:
    """Yields the number of the first frame, and the frames, of each stretch with one face."""
    found: list[_Frame] = []
    landmarks: npt.NDArray[np.floating] | None = None
    number = 0
    for number, picture in enumerate(_at_rate(film)):
        face = followed_face(tracker, picture, landmarks)
        frame = None if face is None else _cut(picture, face.landmarks, box)
        if face is not None and frame is not None:
            landmarks = face.landmarks
            found.append(frame)
        elif found:
            yield number - len(found), found
            found, landmarks = [], None
    if found:
        yield number + 1 - len(found), found


def _cut(picture: Image, landmarks: FloatArray, box: str) -> _Frame | None:
    """Returns a face as ``TalkingClip`` keeps it; None if its box is empty."""
    points = landmarks[faces.POINTS_68, :2]
    place: Box = mesh_box(landmarks, picture.shape[0], margin=0)
    if box == "published":
        flat = landmarks[:, :2]
        place = union_box([*flat.min(0), *flat.max(0)], points.astype(np.int64))
    if place == NO_FACE:
        return None
    left, top, right, bottom = place
    size = np.array([right - left, bottom - top], np.int64)
    scale = SIDE / size
    # As cv2.resize maps pixels, with the edge of the picture repeated outside of it.
    to_face = np.array(
        [
            [scale[0], 0, (0.5 - left) * scale[0] - 0.5],
            [0, scale[1], (0.5 - top) * scale[1] - 0.5],
        ]
    )
    shrinks = max(scale) < 1
    if shrinks:  # smooth first: a warp takes single pixels
        sigma = 0.5 / float(scale.min())
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
    image = cv2.warpAffine(
        picture,
        to_face,
        (SIDE, ROWS),
        flags=cv2.INTER_LINEAR if shrinks else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = ((points - (left, top)) * scale).astype(np.float32)
    return np.asarray(image, np.uint8), inside, size


def _at_rate(film: Path) -> Iterator[Image]:
    """Yields the frames of a film that are shown at 0, 1/25, 2/25 … seconds.

    Raises InputError for a file that is not a film.
    """
    with FrameReader(film) as reader:
        if reader.still:
            raise InputError(f"{film} is a still picture: a film of a talking person was expected")
        due, before = 0, None
        for frame in reader:
            while before is not None and due / FPS < frame.stamp - 1e-6:
                yield before
                due += 1
            before = frame.image
        if before is not None:
            yield before


def _sound(film: Path) -> npt.NDArray[np.float32]:
    """Returns the sound of a film, float32 [S], 16 kHz, mono, from its first frame on."""
    with FrameReader(film) as reader:
        begin = reader.begin
    with closing(FilmSound(film, begin)) as sound:
        if not sound.rate:
            raise InputError(f"{film} has no sound that can be read: give a film with speech")
        pieces: list[Any] = [np.zeros((0, sound.channels), np.int16), *sound]
        mono = np.concatenate(pieces).astype(np.float32).mean(axis=1) / 32768
        made = soxr.resample(mono, sound.rate, RATE)
    return np.asarray(made, np.float32)
