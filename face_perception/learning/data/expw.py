"""Converts ExpW (Zhang, Luo, Loy and Tang, IJCV 2018) to the layout of ``dataset``.

label.lst has a line for each face: picture, number of the face, top, left, right, bottom,
confidence of the box, and expression. The pictures are in image/origin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    drawn_share,
    every_nth,
    numbers,
    read_rows,
    refuse_test,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.labelled_pictures import (
    LabelledPicture,
    expression_of,
    write_pictures,
)

_ROWS = (
    "lines such as angry_actor_104.jpg 0 28 113 226 141 22.9362 0 (picture, number of the face, "
    "top, left, right, bottom, confidence, expression from 0 to 6) were expected"
)
_ORDER = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")
_TEST, _VALIDATION = 0.2, 0.1  # shares of the pictures
_FOLDERS = ("image/origin", "origin", "image")


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the faces that ``source`` / label.lst lists to ``out``.

    The set has no published split and names no people: a fifth of the pictures, drawn by their
    names, is the split ``test``, and a tenth is ``validation``. ``test`` must be empty. The subject
    is the picture. Every ``every``-th face is used.
    """
    refuse_test(job.test, "ExpW")
    conversion = Conversion(
        job.out,
        job.report,
        name="ExpW",
        licence="for non-commercial research only (Chinese University of Hong Kong)",
        module=__name__,
    )
    return write_pictures(every_nth(_pictures(job.source), job.every), job.tracker, conversion)


def _pictures(source: Path) -> Iterator[LabelledPicture]:
    rows = read_rows(source / "label.lst", _ROWS)
    folder = next((source / f for f in _FOLDERS if (source / f).is_dir()), source / _FOLDERS[0])
    for row in rows:
        name = row.fields[0]
        if "/" in name:
            raise DatasetError(f"{row.where}: {name}: {_ROWS}")
        _, top, left, right, bottom, _, label = numbers(row.after(1), 7, _ROWS)
        yield LabelledPicture(
            file=folder / name,
            where=row.where,
            subject=name,
            split=_split(name),
            labels={"expression": expression_of(label, _ORDER, row.where, _ROWS)},
            box=np.array([left, top, right, bottom]),
        )


def _split(name: str) -> str:
    """Returns the split of a picture.

    Names begin with the emotion that was searched for, so neighbours in the list are alike.
    """
    share = drawn_share(name)
    return "test" if share < _TEST else "validation" if share < _TEST + _VALIDATION else "train"
