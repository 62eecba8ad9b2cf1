"""Reads videos of labelled faces, computes what MIMAMO-Net sees once, and cuts clips.

A video is the samples of a data set with the same ``video``, in the order of ``frame``. Features
and phase differences are kept in a folder, as arrays that are read from disk piece by piece.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from face_perception.errors import InputError
from face_perception.faces import CROP_SIDE
from face_perception.files import write_atomically
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.mimamo.appearance import Appearance
from face_perception.motion import appearance_images, clip_phase_differences, gray_images
from face_perception.outside_files import one_error, read_json
from face_perception.types import FaceCrop, FloatArray

NEEDS = ("video", "frame", "valence", "arousal")
_ARRAYS = ("appearance", "phase0", "phase1")
_DONE = "features.json"
_FORMAT = 1  # counts changes of what is kept
_AT_ONCE = 16  # faces in one call of the appearance network

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Video:
    """Frames of one video: ``rows`` in the kept arrays, and its ``split``."""

    name: str
    rows: slice
    split: str

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
    appearance: Appearance,
    *,
    one_sided: bool,
    report: Callable[[str], None] = lambda line: None,
) -> Videos:
    """Returns the videos of a data set, from ``cache`` if it has them, and fills it otherwise.

    ``one_sided`` is the unwrapping of phases, see ``motion.phase_differences``. Raises DatasetError
    if a column is missing, a video has several splits or people, or a frame number occurs twice.
    """
    data = dataset.read(folder, NEEDS)
    order, videos = _videos(data)
    key = _key(folder, appearance, one_sided)
    if not _is_filled(cache, key):
        _fill(data, order, videos, cache, key, appearance, one_sided, report)
    seen, phase0, phase1 = (np.load(cache / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
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
        splits = set(data.columns["split"][rows])
        if len(splits) > 1:
            raise DatasetError(f"{table}: video {name} is in several splits")
        videos.append(Video(name, slice(start, int(stop)), splits.pop()))
        start = int(stop)
    return order, tuple(videos)


def _key(folder: Path, appearance: Appearance, one_sided: bool) -> str:
    table = hashlib.sha256((folder / dataset.TABLE).read_bytes()).hexdigest()
    return f"{_FORMAT} {table} {appearance.revision} {one_sided}"


def _is_filled(cache: Path, key: str) -> bool:
    if not (cache / _DONE).exists():
        return False
    with one_error(f"{cache / _DONE}", f"remove the folder {cache}", InputError):
        return bool(read_json(cache / _DONE)["key"] == key)


def _fill(
    data: dataset.Dataset,
    order: npt.NDArray[np.int64],
    videos: Sequence[Video],
    cache: Path,
    key: str,
    appearance: Appearance,
    one_sided: bool,
    report: Callable[[str], None],
) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    shapes = ((appearance.features,), (24, 48, 48), (24, 24, 24))
    arrays = [
        np.lib.format.open_memmap(
            cache / f"{name}.npy",
            "w+",
            np.float32 if name == "appearance" else np.float16,
            (len(order), *shape),
        )
        for name, shape in zip(_ARRAYS, shapes, strict=True)
    ]
    for number, video in enumerate(videos):
        crops = [
            FaceCrop(video.name, data.rgb(int(row), "file", (CROP_SIDE, CROP_SIDE)), np.eye(2, 3))
            for row in order[video.rows]
        ]
        for start in range(0, len(crops), _AT_ONCE):
            part = crops[start : start + _AT_ONCE]
            rows = slice(video.rows.start + start, video.rows.start + start + len(part))
            arrays[0][rows] = appearance.compute(appearance_images(part))
        phases = clip_phase_differences(gray_images(crops), one_sided=one_sided)
        for array, phase in zip(arrays[1:], phases, strict=True):
            array[video.rows] = phase
        report(f"features of {video.name}: {len(crops)} frames ({number + 1} of {len(videos)})")
    for array in arrays:
        array.flush()
    write_atomically(cache / _DONE, json.dumps({"key": key}).encode())


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
    """Returns the fold of each video by name: videos in the order of their names, in turn."""
    return {name: i % folds for i, name in enumerate(sorted(video.name for video in videos))}
