"""Converts ETH-XGaze (Zhang et al., ECCV 2020) to the layout of ``dataset``.

train/subject0000.h5 of the normalised pictures (xgaze_224) has ``face_patch`` [N, 224, 224, 3], BGR
uint8, and ``face_gaze`` [N, 2], pitch and yaw in radians in the normalised camera. Positive yaw is
to the left of the picture. The test sets have no gaze: their publisher evaluates them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception import geometry
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    every_nth,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.labelled_gaze import (
    find_gaze_crops,
    gaze_images,
    gaze_labels,
)
from face_perception.learning.data.labelled_pictures import with_border
from face_perception.optional_modules import extra
from face_perception.outside_files import one_error
from face_perception.types import Camera, FloatArray

_WANTED = "train/subject0000.h5 and more of the normalised pictures (xgaze_224) were expected"
_FIELDS = "face_patch [N, 224, 224, 3] uint8 and face_gaze [N, 2] in radians were expected"
_SIDE, _FOCAL_LENGTH = 224, 960.0  # pixels of the published normalised camera
_BORDER = 64  # pixels around a picture; the face detector needs a margin


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the people in ``source`` / train to ``out``.

    A published picture is what a camera with a focal length of 960 pixels sees from 0.6 m; crops
    and gaze are those of the gaze package for that camera. The published gaze begins at the middle
    of the face, ours between the eyes: the direction is kept. ``test`` are people such as
    subject0000; by default the last fifth. Every ``every``-th picture of a person is used.
    """
    files = {file.stem: file for file in sorted(job.source.glob("train/subject[0-9]*.h5"))}
    if not files:
        raise DatasetError(f"{job.source} has no file such as train/subject0000.h5: {_WANTED}")
    splits = splits_of(list(files), job.source, job.test)
    side = _SIDE + 2 * _BORDER
    middle = (side - 1) / 2
    camera = Camera(side, side, _FOCAL_LENGTH, _FOCAL_LENGTH, middle, middle)
    with (
        extra("reading ETH-XGaze", "pip install h5py"),
        Conversion(
            job.out, job.report, name="ETH-XGaze", licence="CC BY-NC-SA 4.0", module=__name__
        ) as made,
    ):
        for person, file in files.items():
            with _Pictures(file) as pictures:
                for k in every_nth(range(len(pictures)), job.every):
                    bgr, direction = pictures.sample(k)
                    image = with_border(np.ascontiguousarray(bgr[..., ::-1]), _BORDER)
                    with made.unless_missing():
                        crops, pose = find_gaze_crops(job.tracker, image, camera)
                        made.add(
                            gaze_images(crops),
                            person,
                            splits[person],
                            **gaze_labels(crops, direction, pose.rotation[:, 0]),
                            photograph=f"{file.name}/{k}",
                        )
            made.report(f"{person} ({splits[person]})")
    return made.counts


class _Pictures:
    """The pictures of one file, read one by one. Use it in a ``with`` block."""

    def __init__(self, file: Path) -> None:
        import h5py

        self._path = file
        with one_error(f"{file}", _FIELDS, DatasetError):
            self._file = h5py.File(file, "r")
        try:
            self._patches = self._array("face_patch", (_SIDE, _SIDE, 3), np.uint8)
            self._gazes = self._array("face_gaze", (2,), np.floating)
            if len(self._patches) != len(self._gazes):
                raise DatasetError(
                    f"{file} has {len(self._patches)} pictures and {len(self._gazes)} gazes: "
                    f"{_FIELDS}"
                )
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> _Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._gazes)

    def sample(self, number: int) -> tuple[npt.NDArray[np.uint8], FloatArray]:
        """Returns a picture, BGR uint8 [224, 224, 3], and its gaze, a unit vector in its camera."""
        where = f"{self._path}: picture {number}"
        with one_error(where, _FIELDS, DatasetError):
            patch = np.asarray(self._patches[number], np.uint8)
            pitch, yaw = (float(value) for value in self._gazes[number])
        if not max(abs(pitch), abs(yaw)) <= np.pi:
            raise DatasetError(f"{where} has the gaze {pitch:g}, {yaw:g}: {_FIELDS}")
        return patch, geometry.from_yaw_pitch(-yaw, pitch)

    def _array(self, name: str, shape: tuple[int, ...], kind: Any) -> Any:
        with one_error(f"{self._path}", _FIELDS, DatasetError):
            found = self._file[name]
            good = found.shape[1:] == shape and np.issubdtype(found.dtype, kind)
        if not good:
            raise DatasetError(
                f"{self._path}: {name} is {found.dtype} {list(found.shape)}: {_FIELDS}"
            )
        return found
