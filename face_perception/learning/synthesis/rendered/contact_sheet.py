"""One picture of many rendered people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from face_perception.errors import InputError
from face_perception.learning.synthesis.rendered.dataset import read_truths


def write_contact_sheet(folder: Path, file: Path, *, count: int = 64, size: int = 160) -> int:
    """Writes a sheet of one picture of each person, at most ``count``; returns their number.

    ``size`` is the side of each picture on the sheet, pixels. Raises InputError if ``folder`` has
    no pictures.
    """
    seen: dict[int, str] = {}
    for truth in read_truths(folder):
        seen.setdefault(truth["person"]["seed"], truth["file"])
    files = list(seen.values())[:count]
    if not files:
        raise InputError(f"{folder} has no rendered people yet")
    columns = int(np.ceil(np.sqrt(len(files))))
    rows = -(-len(files) // columns)
    sheet = np.zeros((rows * size, columns * size, 3), np.uint8)
    for number, name in enumerate(files):
        image = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
        if image is None:
            raise InputError(f"{folder / name} is missing or damaged")
        y, x = (part * size for part in divmod(number, columns))
        sheet[y : y + size, x : x + size] = cv2.resize(
            image, (size, size), interpolation=cv2.INTER_AREA
        )
    if not cv2.imwrite(str(file), sheet):
        raise InputError(f"{file} cannot be written")
    return len(files)
