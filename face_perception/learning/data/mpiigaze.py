"""Converts the normalised eyes of MPIIGaze (Zhang et al., 2015) to the layout of ``dataset``.

Data/Normalized/p00/day01.mat has the structure ``data`` with ``left`` and ``right``, each with
``image`` [N, 36, 60] (gray, not equalised or mirrored) and ``gaze`` [N, 3], a unit vector in the
normalized camera of that eye (x right, y down, z forward).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import geometry
from face_perception.gaze import EYE_SHAPE
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    every_nth,
    folders_of,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.matlab_file import read_matlab_arrays
from face_perception.outside_files import one_error
from face_perception.types import FloatArray, Image

_WANTED = "files such as p00/day01.mat were expected in the folder Data/Normalized of MPIIGaze"
_FIELDS = (
    "the structure data with left and right, each with image [N, 36, 60] and gaze [N, 3], was "
    "expected"
)
_IMAGE = (36, 60)
_MOST_BYTES = 256 << 20  # of a file, unpacked; the largest day has 40 MB
# In the published eyes a millimetre at the eye is 1.6 pixels (focal length 960, 0.6 m); in the
# crops of the gaze package, an eye of 30 mm is 67.2 pixels wide.
_SCALE = 67.2 / (30 * 1.6)


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the eyes in ``source`` (the folder Data/Normalized: p00 to p14) to ``out``.

    An eye is enlarged to the scale of the crops of the gaze package and histogram equalised; what
    the published picture does not show is its repeated border. The gaze is the mean of both eyes.
    ``file`` is the left eye, because the set has no faces: use it for ``dilated_net``. ``tracker``
    is not used. ``test`` are the people of the split ``test``; by default it has the last fifth.
    Every ``every``-th sample of a day is used.
    """
    people = folders_of(job.source, "p[0-9][0-9]", _WANTED)
    splits = splits_of(people, job.source, job.test)
    with Conversion(
        job.out, job.report, name="MPIIGaze, normalised", licence="CC BY-NC-SA 4.0", module=__name__
    ) as made:
        for person in people:
            days = sorted((job.source / person).glob("day*.mat"))
            if not days:
                raise DatasetError(f"{job.source / person} has no day01.mat: {_WANTED}")
            for day in days:
                images, gazes = _read_day(day)
                for k in every_nth(range(len(gazes)), job.every):
                    left, right = (equalised_eye(image[k]) for image in images)
                    yaw, pitch = geometry.yaw_pitch(gazes[k])
                    made.add(
                        {"file": left, "left_eye": left, "right_eye": right},
                        subject=person,
                        split=splits[person],
                        gaze_pitch=pitch,
                        gaze_yaw=yaw,
                        sample_of=f"{person}/{day.name}/{k}",
                    )
            made.report(f"{person} ({splits[person]})")
    return made.counts


def equalised_eye(image: npt.NDArray[Any]) -> Image:
    """Returns a published eye, gray uint8 [36, 60], as a crop of the gaze package, [64, 96]."""
    large = cv2.resize(image, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_CUBIC)
    (height, width), (rows, columns) = EYE_SHAPE, large.shape
    top, left = (height - rows) // 2, (width - columns) // 2
    whole = cv2.copyMakeBorder(
        large,
        *(top, height - rows - top, left, width - columns - left),
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cv2.equalizeHist(whole), np.uint8)


def _read_day(path: Path) -> tuple[list[npt.NDArray[np.uint8]], FloatArray]:
    """Returns left and right eyes uint8 [N, 36, 60], and gazes [N, 3], unit vectors."""
    with one_error(f"{path}", _FIELDS, DatasetError):
        found = read_matlab_arrays(path, most=_MOST_BYTES)
    images, gazes = [], []
    for side in ("left", "right"):
        image, gaze = found.get(f"data.{side}.image"), found.get(f"data.{side}.gaze")
        if image is None or gaze is None:
            raise DatasetError(f"{path} lacks image or gaze of data.{side}: {_FIELDS}")
        if image.shape[1:] != _IMAGE or gaze.shape != (len(image), 3):
            raise DatasetError(
                f"{path}: data.{side} has image {list(image.shape)} and gaze {list(gaze.shape)}: "
                f"{_FIELDS}"
            )
        if not np.allclose(np.linalg.norm(gaze, axis=1), 1, atol=0.01):
            raise DatasetError(f"{path}: data.{side}.gaze has other lengths than 1: {_FIELDS}")
        images.append(np.ascontiguousarray(image, np.uint8))
        gazes.append(gaze.astype(np.float64))
    if len(images[0]) != len(images[1]):
        raise DatasetError(f"{path} has other numbers of left and right eyes: {_FIELDS}")
    mean = gazes[0] + gazes[1]
    return images, mean / np.linalg.norm(mean, axis=1, keepdims=True)
