"""Makes docs/images/gaze_people.png: crops of synthetic people, the inputs of GEDDnet.

    python3 tools/draw_gaze_people.py

A row shows the images of one person, each as face, right eye and left eye.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from face_perception.learning.synthesis.gaze_crops import gaze_faces
from face_perception.types import Image

PEOPLE, IMAGES, SEED = 8, 3, 0
FILE = Path(__file__).resolve().parent.parent / "docs" / "images" / "gaze_people.png"
_GAP = 4


def sheet(people: int, images: int, seed: int) -> Image:
    """Returns the picture, gray uint8 [96 * people, 300 * images]."""
    drawn = gaze_faces(people, images, seed=seed)
    crops = np.stack(
        [
            _cell(crop, drawn.face.shape[1:])
            for sample in zip(drawn.face, drawn.right_eye, drawn.left_eye, strict=True)
            for crop in sample
        ]
    )
    count, height, width = crops.shape
    rows = crops.reshape(people, count // people, height, width)
    return np.ascontiguousarray(rows.transpose(0, 2, 1, 3).reshape(people * height, -1))


def _cell(crop: Image, size: tuple[int, ...]) -> Image:
    """Returns a cell of a face's size with the crop at its top and a gap at its right."""
    below, right = size[0] - crop.shape[0], size[1] - crop.shape[1] + _GAP
    return np.pad(crop, ((0, below), (0, right)))


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    if not cv2.imwrite(str(FILE), sheet(PEOPLE, IMAGES, SEED)):
        raise SystemExit(f"{FILE} cannot be written")
    print(FILE)


if __name__ == "__main__":
    main()
