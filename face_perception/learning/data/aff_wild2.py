"""Converts Aff-Wild2 (Kollias and Zafeiriou, 2019) to the layout of ``dataset``.

cropped_aligned/VIDEO/00001.jpg are aligned faces of 112x112 pixels. Annotations are in folders such
as VA_Estimation_Challenge/Train_Set: VIDEO.txt has a line of names and a line for each frame.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from face_perception.faces import ALIGNED_SIDE, CROP_SIDE
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    every_nth,
    numbers,
    read_rows,
    refuse_test,
)
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.learning.data.labelled_pictures import with_border
from face_perception.types import Image

# Task -> how the name of its folder begins.
_TASKS = {"VA": "VA_", "EXPR": "EXPR_", "AU": "AU_"}
_SETS = {"Train_Set": "train", "Validation_Set": "test"}
_EXPRESSIONS = ("neutral", "angry", "disgusted", "scared", "happy", "sad", "surprised", None)
_UNITS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
_WANTED = (
    "cropped_aligned, and VA_Estimation_Challenge, EXPR_Recognition_Challenge or "
    "AU_Detection_Challenge with Train_Set and Validation_Set, were expected in one folder"
)
_COLUMNS = {
    "VA": (2, "a line of names and lines of valence,arousal from -1 to 1 (-5: not labelled)"),
    "EXPR": (1, "a line of names and lines of a class from 0 to 7 (-1: not labelled)"),
    "AU": (12, "a line of names and lines of 12 values 0 or 1 (-1: not labelled)"),
}
_VALIDATION = 10  # every so many videos of the training set are for validation

_Labels = dict[str, float | str | None]


@dataclass(frozen=True)
class _Video:
    """The labels of each frame of a video, by its number from 1, and its split."""

    split: str
    frames: dict[int, _Labels]


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the data set in ``source`` to ``out``: videos of crops with the labels that they have.

    The published Validation_Set is the split ``test``, because the labels of the published test set
    are not public; every tenth video of Train_Set is for validation. ``test`` must be empty. An
    aligned face becomes the middle of a crop whose border is repeated; ``tracker`` is not used.
    Every ``every``-th labelled frame is used.
    """
    refuse_test(job.test, "Aff-Wild2")
    videos = _read_videos(job.source)
    with Conversion(
        job.out,
        job.report,
        name="Aff-Wild2",
        licence="for non-commercial research only (agreement with Imperial College London)",
        module=__name__,
    ) as made:
        for name, video in videos.items():
            folder = job.source / "cropped_aligned" / name
            if not folder.is_dir():
                raise DatasetError(f"{folder} is missing, but {name}.txt has labels: {_WANTED}")
            for frame, labels in every_nth(sorted(video.frames.items()), job.every):
                file = folder / f"{frame:05d}.jpg"
                if not file.exists():
                    made.counts["no face was cropped in the published set"] += 1
                    continue
                crop = _crop(read_image(file, "an aligned face was expected"), file)
                made.add(
                    {"file": crop},
                    subject=name,
                    split=video.split,
                    video=name,
                    frame=frame,
                    **labels,
                )
            made.report(f"{name} ({video.split})")
    return made.counts


def _crop(image: Image, file: Path) -> Image:
    if image.shape != (ALIGNED_SIDE, ALIGNED_SIDE, 3):
        raise DatasetError(
            f"{file} is {image.shape[1]}x{image.shape[0]}: an aligned face of "
            f"{ALIGNED_SIDE}x{ALIGNED_SIDE} was expected"
        )
    border = (CROP_SIDE - ALIGNED_SIDE) // 2
    return with_border(image, border)


def _read_videos(source: Path) -> dict[str, _Video]:
    """Returns the videos by name. Raises DatasetError if there are no annotations."""
    found: dict[str, _Video] = {}
    trained: list[str] = []
    for task, start in _TASKS.items():
        for folder in sorted(source.glob(f"{start}*")):
            for part, split in _SETS.items():
                for path in sorted((folder / part).glob("*.txt")):
                    video = found.setdefault(path.stem, _Video(split, {}))
                    if video.split != split:
                        raise DatasetError(
                            f"{path} and another task have {path.stem} in Train_Set and in "
                            "Validation_Set: annotations of one release were expected"
                        )
                    if split == "train" and path.stem not in trained:
                        trained.append(path.stem)
                    _add_labels(video, path, task)
    if not found:
        raise DatasetError(f"{source} has no annotations: {_WANTED}")
    for name in sorted(trained)[_VALIDATION - 1 :: _VALIDATION]:
        found[name] = _Video("validation", found[name].frames)
    return dict(sorted(found.items()))


def _add_labels(video: _Video, path: Path, task: str) -> None:
    count, columns = _COLUMNS[task]
    wanted = f"{columns} were expected"
    for row in read_rows(path, wanted, ","):
        if row.number == 1:  # names of the columns
            continue
        labels = _labels(task, numbers(row, count, wanted).tolist(), row.where, wanted)
        if labels:
            video.frames.setdefault(row.number - 1, {}).update(labels)


def _labels(task: str, values: list[float], where: str, wanted: str) -> _Labels:
    """Returns the labels of a frame by column; empty if it has none."""
    labels: _Labels
    if task == "VA":
        if -5 in values:
            return {}
        allowed = all(-1 <= value <= 1 for value in values)
        labels = dict(zip(("valence", "arousal"), values, strict=True))
    elif task == "EXPR":
        allowed = values[0] in range(-1, len(_EXPRESSIONS))
        name = _EXPRESSIONS[int(values[0])] if allowed and values[0] >= 0 else None
        labels = {"expression": name} if name else {}
    else:
        allowed = all(value in (-1, 0, 1) for value in values)
        known = -1 not in values
        pairs = zip(_UNITS, values, strict=True)
        labels = {f"au_{unit}": value for unit, value in pairs} if known else {}
    if not allowed:
        raise DatasetError(f"{where}: {values}: {wanted}")
    return labels
