"""The pictures of a face that REP-155 publishes, made from our aligned crop of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from face_perception.settings import setting
from face_perception.types import FaceCrop, FloatArray, Image, Roi


@dataclass(frozen=True)
class PictureSettings:
    """Settings of the pictures of faces. REP-155 names them /humans/faces/width and height."""

    face_width: int = setting(
        128, "Width of the pictures of faces.", minimum=16, maximum=1024, unit="pixels"
    )
    face_height: int = setting(
        128, "Height of the pictures of faces.", minimum=16, maximum=1024, unit="pixels"
    )
    picture_rate: float = setting(
        10.0,
        "Highest rate of the pictures of a face. A larger value needs more computing time. 0: a "
        "picture of every image.",
        minimum=0.0,
        maximum=1000.0,
        unit="Hz",
    )


def aligned_picture(crop: FaceCrop, width: int, height: int) -> Image:
    """Returns the upright face, its eyes level, RGB uint8 [height, width, 3].

    The crop is scaled to fit and centred; the rest is black.
    """
    side = crop.image.shape[0]
    return _fitted(crop.image, np.eye(3), Roi(0, 0, side, side), width, height)


def cropped_picture(crop: FaceCrop, roi: Roi, width: int, height: int) -> Image:
    """Returns the box of a face as it is in the image, RGB uint8 [height, width, 3].

    The box is scaled to fit and centred; the rest is black. So is what lies outside the crop, such
    as a corner of the box of a rolled head.
    """
    to_crop = np.vstack([crop.transform, (0, 0, 1)])
    return _fitted(crop.image, to_crop, roi, width, height)


def _fitted(pixels: Image, to_pixels: FloatArray, box: Roi, width: int, height: int) -> Image:
    """Returns the part of ``pixels`` in ``box``, scaled to fit into [height, width, 3] and centred.

    ``to_pixels`` [3, 3] maps the coordinates of the box to those of ``pixels``.
    """
    picture = np.zeros((height, width, 3), np.uint8)
    if box.width < 1 or box.height < 1:
        return picture
    scale = min(width / box.width, height / box.height)
    columns, rows = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    sx, sy = box.width / columns, box.height / rows
    # Pixel centres are at integers, so the left edge of the box is at x - 0.5.
    to_box = np.array(
        [[sx, 0, box.x + sx / 2 - 0.5], [0, sy, box.y + sy / 2 - 0.5], [0, 0, 1]], np.float64
    )
    left, top = (width - columns) // 2, (height - rows) // 2
    picture[top : top + rows, left : left + columns] = cv2.warpAffine(
        pixels,
        (to_pixels @ to_box)[:2],
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return picture
