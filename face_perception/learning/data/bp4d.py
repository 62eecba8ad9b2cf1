"""Converts BP4D-Spontaneous (Zhang et al., 2014) to the layout of ``dataset``.

AUCoding/AU_OCC/F001_T1.csv has a line of names (0, then numbers of action units) and a line for
each frame: its number, then 0 or 1 for each unit, and 9 for unknown. The pictures are
F001/T1/2440.jpg, in ``source`` or in a folder of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    every_nth,
    numbers,
    read_rows,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.labelled_pictures import LabelledPicture, write_pictures

_LABELS = ("AUCoding/AU_OCC", "AU_OCC")
_WANTED = "files such as AUCoding/AU_OCC/F001_T1.csv were expected"
_ROWS = (
    "a line of names (0, then action units) and lines of a frame's number and 0, 1 or 9 for each "
    "unit were expected"
)
_UNKNOWN = 9


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the labelled frames in ``source`` to ``out``: crops with all coded action units.

    ``test`` are people; by default the last fifth. The usual protocol has three folds: convert with
    each third of the people as ``test``. Every ``every``-th labelled frame is used.
    """
    conversion = Conversion(
        job.out,
        job.report,
        name="BP4D-Spontaneous",
        licence="for non-commercial research only (agreement with Binghamton University)",
        module=__name__,
    )
    return write_pictures(
        every_nth(_pictures(job.source, job.test), job.every), job.tracker, conversion
    )


def _pictures(source: Path, test: Sequence[str]) -> Iterator[LabelledPicture]:
    folders = [source / name for name in _LABELS if (source / name).is_dir()]
    tables = sorted(folders[0].glob("[FM][0-9][0-9][0-9]_T[0-9].csv")) if folders else []
    if not tables:
        raise DatasetError(f"{source} has no labels: {_WANTED}")
    splits = splits_of(sorted({table.stem[:4] for table in tables}), source, test)
    for table in tables:
        person, _, task = table.stem.partition("_")
        pictures = _pictures_of(source, person, task)
        rows = read_rows(table, _ROWS, ",")
        if not rows:
            raise DatasetError(f"{table} is empty: {_ROWS}")
        units = numbers(rows[0], len(rows[0].fields), _ROWS)[1:].astype(int)
        for row in rows[1:]:
            frame, *values = numbers(row, len(units) + 1, _ROWS)
            if frame != int(frame) or any(value not in (0, 1, _UNKNOWN) for value in values):
                raise DatasetError(f"{row.where}: {','.join(row.fields)}: {_ROWS}")
            file = pictures.get(int(frame))
            if file is None:
                raise DatasetError(
                    f"{row.where}: {person}/{task} has no picture of frame {frame:g}"
                )
            yield LabelledPicture(
                file=file,
                where=row.where,
                subject=person,
                split=splits[person],
                labels={
                    "video": table.stem,
                    "frame": int(frame),
                    **{
                        f"au_{unit}": None if value == _UNKNOWN else float(value)
                        for unit, value in zip(units, values, strict=True)
                    },
                },
            )


def _pictures_of(source: Path, person: str, task: str) -> dict[int, Path]:
    """Returns the pictures of a film by the number of the frame."""
    for folder in (source / person / task, *sorted(source.glob(f"*/{person}/{task}"))):
        found = {int(file.stem): file for file in folder.glob("*.jpg") if file.stem.isdigit()}
        if found:
            return found
    raise DatasetError(f"{source} has no pictures {person}/{task}/*.jpg, but labels of them")
