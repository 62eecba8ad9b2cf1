"""Converts AffectNet (Mollahosseini, Hasani and Mahoor, 2017) to the layout of ``dataset``.

train_set and val_set each have images/12.jpg and, in annotations, 12_exp.npy (expression),
12_val.npy and 12_aro.npy (valence and arousal from -1 to 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from face_perception.errors import one_line
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    drawn_share,
    every_nth,
    refuse_test,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.labelled_pictures import (
    MARGIN,
    LabelledPicture,
    expression_of,
    write_pictures,
)
from face_perception.outside_files import one_error, parse_array, read_bytes

_WANTED = (
    "the folders train_set and val_set, each with images and annotations such as 12_exp.npy, "
    "12_val.npy and 12_aro.npy, were expected"
)
_NUMBER = "one number was expected"
_EXPRESSION = "an expression from 0 to 10 was expected"
# The published classes; contempt and those that are no expression have no label here.
_ORDER = ("neutral", "happy", "sad", "surprised", "scared", "disgusted", "angry", *(4 * [None]))
_UNKNOWN = -2.0  # published valence or arousal of a face without that label
_PARTS = {"train_set": "train", "val_set": "test"}
_VALIDATION = 0.05  # share of the training part that is for validation
_MOST_BYTES = 1 << 16


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the pictures in ``source`` with expression, valence and arousal to ``out``.

    The published val_set is the split ``test``, because the labels of the published test set are
    not public; a twentieth of train_set, drawn by the name of the picture, is for validation.
    ``test`` must be empty. People are not known: each picture is a subject. Contempt has valence
    and arousal only. Every ``every``-th picture is used.
    """
    refuse_test(job.test, "AffectNet")
    conversion = Conversion(
        job.out,
        job.report,
        name="AffectNet",
        licence="for non-commercial research only (agreement with the University of Denver)",
        module=__name__,
    )
    return write_pictures(every_nth(_pictures(job.source), job.every), job.tracker, conversion)


def _pictures(source: Path) -> Iterator[LabelledPicture]:
    if not any((source / part).is_dir() for part in _PARTS):
        raise DatasetError(f"{source} has other content: {_WANTED}")
    for part, split in _PARTS.items():
        files = sorted((source / part / "annotations").glob("*_exp.npy"))
        if (source / part).is_dir() and not files:
            raise DatasetError(f"{source / part / 'annotations'} has no labels: {_WANTED}")
        for file in files:
            name = file.name.removesuffix("_exp.npy")
            validation = split == "train" and drawn_share(name) < _VALIDATION
            yield LabelledPicture(
                file=source / part / "images" / f"{name}.jpg",
                where=str(file),
                subject=f"{part}_{name}",
                split="validation" if validation else split,
                labels={
                    "expression": expression_of(_number(file), _ORDER, str(file), _EXPRESSION)
                    or None,
                    "valence": _affect(file.with_name(f"{name}_val.npy")),
                    "arousal": _affect(file.with_name(f"{name}_aro.npy")),
                },
                margin=MARGIN,
            )


def _affect(file: Path) -> float | None:
    value = _number(file)
    if value == _UNKNOWN:
        return None
    if not -1 <= value <= 1:
        raise DatasetError(f"{file}: {value:g}: a number from -1 to 1, or -2, was expected")
    return value


def _number(file: Path) -> float:
    """Returns the number in a .npy file, where it is a number or its text."""
    if not file.is_file():
        raise DatasetError(f"{file} is missing: {_WANTED}")
    with one_error(f"{file}", _NUMBER, DatasetError):
        found = parse_array(read_bytes(file, _MOST_BYTES))
    try:
        return float(str(found.item()))
    except ValueError as error:
        raise DatasetError(f"{file}: {one_line(error)}; {_NUMBER}") from error
