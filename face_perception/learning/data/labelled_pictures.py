"""Writes pictures that each show one labelled face as a data set of face crops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from face_perception.faces import FaceTracker
from face_perception.learning.data.converting import Conversion, affect_crop
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.types import EXPRESSIONS, FloatArray, Image

# Share of the height that is added around a picture that ends at the face: the face detector needs
# a margin.
MARGIN = 0.3
_LINES = 500  # pictures between two lines of progress


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture and the labels of one face in it.

    ``where`` is the line that names it. ``box`` [4] is the face's left, top, right and bottom in
    pixels; None means the largest face. ``margin`` is a share of the height that is added around
    the picture by repeating its border.
    """

    file: Path
    where: str
    subject: str
    split: str
    labels: Mapping[str, float | str | None]
    box: FloatArray | None = None
    margin: float = 0.0


def write_pictures(
    pictures: Iterable[LabelledPicture], tracker: FaceTracker, conversion: Conversion
) -> Counter[str]:
    """Writes the crops of faces and their labels.

    Returns the number of samples ``written``, and the numbers of those left out, by reason. Raises
    DatasetError that names a picture that is missing or damaged.
    """
    with conversion as made:
        for number, picture in enumerate(pictures, 1):
            image = read_image(picture.file, f"{picture.where} names it")
            border = round(picture.margin * image.shape[0])
            if border:
                image = with_border(image, border)
            at, size = None, 0.0
            if picture.box is not None:
                left, top, right, bottom = picture.box + border
                at, size = np.array([left + right, top + bottom]) / 2, max(right - left, 1.0)
            with made.unless_missing():
                crop = affect_crop(tracker, image, at, size)
                made.add({"file": crop}, picture.subject, picture.split, **picture.labels)
            if number % _LINES == 0:
                made.report(f"{number} pictures")
    return made.counts


def with_border(image: Image, border: int) -> Image:
    """Returns a picture with ``border`` pixels around it, which repeat its outermost pixels."""
    wider = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
    return np.asarray(wider, np.uint8)


def expression_of(number: float, order: tuple[str | None, ...], where: str, wanted: str) -> str:
    """Returns the expression with a published number, which is an index of ``order``.

    Returns an empty text for a class that is not in ``EXPRESSIONS``. Raises DatasetError for
    another number.
    """
    if number != int(number) or not 0 <= number < len(order):
        raise DatasetError(f"{where}: {number:g}: {wanted}")
    name = order[int(number)] or ""
    assert not name or name in EXPRESSIONS
    return name
