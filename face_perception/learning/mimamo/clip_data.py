"""Reads videos of labelled faces, computes what MIMAMO-Net sees once, and cuts clips.

A video is the samples of a data set with the same ``video``, in the order of ``frame``. Features
and phase differences are kept in files, from which pieces are read when they are needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from face_perception.errors import InputError
from face_perception.faces import CROP_SIDE
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.mimamo.appearance_features import AppearanceFeatures
from face_perception.motion import (
    HALF_WINDOW,
    appearance_images,
    clip_phase_differences,
    gray_images,
)
from face_perception.outside_files import one_error
from face_perception.types import FaceCrop, FloatArray

NEEDS = ("video", "frame", "valence", "arousal")
_ARRAYS = ("appearance", "phase0", "phase1")
_FORMAT = 1  # counts changes of what is kept
_AT_ONCE = 16  # faces in one call of the appearance network
_PHASES_AT_ONCE = 256  # images whose phase differences are in memory: 71 MB in 32 bits

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Video:
    """Frames of one video: ``rows`` in the kept arrays, its ``split``, and who it shows."""

    name: str
    rows: slice
    split: str
    subject: str

    def __len__(self) -> int:
        return self.rows.stop - self.rows.start


@dataclass(frozen=True, slots=True)
class Videos:
    """Videos with what the network sees of each frame.

    ``appearance`` [N, F] is float32. ``phase0`` [N, 24, 48, 48] and ``phase1`` [N, 24, 24, 24] are
    float16 phase differences, radians. ``affect`` [N, 2] is valence and arousal, NaN where they are
    not labelled.
    """

    videos: tuple[Video, ...]
    appearance: Array
    phase0: Array
    phase1: Array
    affect: FloatArray

    def of(self, chosen: Callable[[Video], bool]) -> Videos:
        """Returns the videos for which ``chosen`` is true."""
        kept = tuple(video for video in self.videos if chosen(video))
        return Videos(kept, self.appearance, self.phase0, self.phase1, self.affect)

    def labels(self) -> FloatArray:
        """Returns the labelled valences and arousals of all frames, [M, 2]."""
        values = np.concatenate([np.zeros((0, 2)), *(self.affect[v.rows] for v in self.videos)])
        found: FloatArray = values[np.isfinite(values).all(1)]
        return found


def read_videos(
    folder: Path,
    cache: Path,
    appearance: AppearanceFeatures,
    *,
    one_sided: bool,
    report: Callable[[str], None] = lambda line: None,
) -> Videos:
    """Returns the videos of a data set.

    What the network sees is computed once and kept in ``cache``, in a folder for each data set and
    each way to compute it. ``one_sided`` is the unwrapping of phases, see
    ``motion.phase_differences``. Raises DatasetError if a column is missing, a video has several
    splits or people, or a frame number occurs twice, and InputError for damaged files in ``cache``.
    """
    data = dataset.read(folder, NEEDS)
    order, videos = _videos(data)
    kept = cache / _key(folder, appearance, one_sided)
    if not kept.exists():
        _compute(data, order, videos, kept, appearance, one_sided, report)
    with one_error(f"{kept}", "remove this folder", InputError):
        seen, phase0, phase1 = (np.load(kept / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    affect = data.labels("valence", "arousal")[order]
    return Videos(videos, seen, phase0, phase1, affect)


def _videos(data: dataset.Dataset) -> tuple[npt.NDArray[np.int64], tuple[Video, ...]]:
    """Returns the rows of the table in the order of videos and frames, and the videos."""
    table = data.folder / dataset.TABLE
    names = data.columns["video"]
    frames = data.labels("frame")[:, 0]
    if any(name is None for name in names) or not np.isfinite(frames).all():
        raise DatasetError(f"{table}: each row must have a video (a text) and a frame (a number)")
    order = np.lexsort((frames, names.astype(str)))
    videos, start = [], 0
    changes = np.flatnonzero(names[order][1:] != names[order][:-1]) + 1
    for stop in (*changes, len(order)):
        rows = order[start:stop]
        name = str(names[rows[0]])
        if len(np.unique(frames[rows])) < len(rows):
            raise DatasetError(f"{table}: video {name} has two rows of the same frame")
        split, subject = (_only(data.columns[key][rows]) for key in ("split", "subject"))
        if split is None:
            raise DatasetError(f"{table}: video {name} is in several splits")
        if subject is None:
            raise DatasetError(f"{table}: video {name} shows several subjects: give each a video")
        videos.append(Video(name, slice(start, int(stop)), split, subject))
        start = int(stop)
    return order, tuple(videos)


def _only(values: Array) -> str | None:
    """Returns the text that all values are; None if they differ."""
    found = set(values)
    return str(found.pop()) if len(found) == 1 else None


def _key(folder: Path, appearance: AppearanceFeatures, one_sided: bool) -> str:
    """Returns the name of the folder in the cache: a hash of all that the features depend on."""
    tables = [
        hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (dataset.ABOUT, dataset.TABLE)
    ]
    whole = f"{_FORMAT} {tables} {appearance.revision} {one_sided}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _compute(
    data: dataset.Dataset,
    order: npt.NDArray[np.int64],
    videos: Sequence[Video],
    kept: Path,
    appearance: AppearanceFeatures,
    one_sided: bool,
    report: Callable[[str], None],
) -> None:
    """Writes the arrays into the new folder ``kept``, which appears when it is complete."""
    part = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        _write_arrays(data, order, videos, part, appearance, one_sided, report)
        if not kept.exists():  # another run may have computed the same
            part.rename(kept)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_arrays(
    data: dataset.Dataset,
    order: npt.NDArray[np.int64],
    videos: Sequence[Video],
    folder: Path,
    appearance: AppearanceFeatures,
    one_sided: bool,
    report: Callable[[str], None],
) -> None:
    shapes = ((appearance.features,), (24, 48, 48), (24, 24, 24))
    arrays = [
        np.lib.format.open_memmap(
            folder / f"{name}.npy",
            "w+",
            np.float32 if name == "appearance" else np.float16,
            (len(order), *shape),
        )
        for name, shape in zip(_ARRAYS, shapes, strict=True)
    ]
    for number, video in enumerate(videos):
        grays = []
        for rows in _pieces(video.rows, _AT_ONCE):
            crops = [
                FaceCrop(video.name, data.rgb(int(i), "file", (CROP_SIDE, CROP_SIDE)), np.eye(2, 3))
                for i in order[rows]
            ]
            arrays[0][rows] = appearance.compute(appearance_images(crops))
            grays.append(gray_images(crops))
        images = np.concatenate(grays)
        for piece in _pieces(slice(0, len(video)), _PHASES_AT_ONCE):
            rows = slice(video.rows.start + piece.start, video.rows.start + piece.stop)
            for array, phase in zip(arrays[1:], _phases(images, piece, one_sided), strict=True):
                array[rows] = phase
        report(f"features of {video.name}: {len(video)} frames ({number + 1} of {len(videos)})")
    for array in arrays:
        array.flush()


def _pieces(rows: slice, most: int) -> Iterator[slice]:
    """Yields slices of at most ``most`` rows that together are ``rows``."""
    for start in range(rows.start, rows.stop, most):
        yield slice(start, min(start + most, rows.stop))


def _phases(images: FloatArray, piece: slice, one_sided: bool) -> list[FloatArray]:
    """Returns ``clip_phase_differences`` of some images of a clip [T, 48, 48]."""
    first = max(piece.start - HALF_WINDOW, 0)
    found = clip_phase_differences(images[first : piece.stop + HALF_WINDOW], one_sided=one_sided)
    return [level[piece.start - first : piece.stop - first] for level in found]


class Clips(Dataset[tuple[torch.Tensor, ...]]):
    """Clips of ``length`` frames, one every ``stride`` frames of each video.

    The last clip of a video ends with it; a shorter video is one clip that repeats its last frame.
    With ``labelled``, clips with a frame without labels are left out. An item is appearance, phase0
    and phase1 [length, ...], and affect [length, 2].
    """

    def __init__(self, videos: Videos, length: int, stride: int, *, labelled: bool) -> None:
        self._videos = videos
        rows: list[npt.NDArray[np.int64]] = []
        for video in videos.videos:
            last = max(len(video) - length, 0)
            for start in dict.fromkeys([*range(0, last, stride), last]):
                inside = np.minimum(np.arange(start, start + length), len(video) - 1)
                rows.append(video.rows.start + inside)
        self.rows = [r for r in rows if not labelled or np.isfinite(videos.affect[r]).all()]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, ...]:
        rows, videos = self.rows[i], self._videos
        arrays = (videos.appearance, videos.phase0, videos.phase1, videos.affect)
        return tuple(torch.from_numpy(np.asarray(array[rows], np.float32)) for array in arrays)


def fold_of(videos: Sequence[Video], folds: int) -> dict[str, int]:
    """Returns the fold of each subject: subjects in the order of their names, in turn."""
    subjects = sorted({video.subject for video in videos})
    return {subject: i % folds for i, subject in enumerate(subjects)}
