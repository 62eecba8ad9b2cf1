"""Converts RAF-DB (Li, Deng and Du, CVPR 2017), single labels, to the layout of ``dataset``.

basic/EmoLabel/list_patition_label.txt has lines such as "train_00001.jpg 5";
basic/Image/aligned/train_00001_aligned.jpg is the picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

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
    MARGIN,
    LabelledPicture,
    expression_of,
    write_pictures,
)

_LIST = "EmoLabel/list_patition_label.txt"
_ROWS = (
    "lines such as train_00001.jpg 5 (1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 "
    "anger, 7 neutral) were expected"
)
_ORDER = (None, "surprised", "scared", "disgusted", "happy", "sad", "angry", "neutral")
_VALIDATION = 0.1  # share of the training part that is for validation


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the aligned pictures in ``source`` (the folder basic, or the one that has it).

    The split ``test`` is the published one; a tenth of the published training part, drawn by the
    name of the picture, is for validation. ``test`` must be empty. People are not known: each
    picture is a subject. Every ``every``-th picture is used.
    """
    refuse_test(job.test, "RAF-DB")
    basic = job.source / "basic" if (job.source / "basic").is_dir() else job.source
    conversion = Conversion(
        job.out,
        job.report,
        name="RAF-DB, single labels",
        licence="for non-commercial research only (terms of the authors of RAF-DB)",
        module=__name__,
    )
    return write_pictures(every_nth(_pictures(basic), job.every), job.tracker, conversion)


def _pictures(basic: Path) -> Iterator[LabelledPicture]:
    for row in read_rows(basic / _LIST, _ROWS):
        name = row.fields[0]
        part, _, rest = name.partition("_")
        if part not in ("train", "test") or not rest.endswith(".jpg") or "/" in name:
            raise DatasetError(f"{row.where}: {name}: {_ROWS}")
        (number,) = numbers(row.after(1), 1, _ROWS)
        expression = expression_of(number, _ORDER, row.where, _ROWS)
        if not expression:
            raise DatasetError(f"{row.where}: {number:g}: {_ROWS}")
        stem = name.removesuffix(".jpg")
        validation = part == "train" and drawn_share(stem) < _VALIDATION
        yield LabelledPicture(
            file=basic / "Image" / "aligned" / f"{stem}_aligned.jpg",
            where=row.where,
            subject=stem,
            split="validation" if validation else part,
            labels={"expression": expression},
            margin=MARGIN,
        )
