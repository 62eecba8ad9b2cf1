"""Outline and face of the person in each sample photograph, traced by hand.

Coordinates are pixels of the photograph, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import Image


@dataclass(frozen=True)
class PersonOutline:
    """Outline of the person in one photograph, in pixels.

    ``face_x``, ``face_y`` and ``face_height`` are the middle and the height of the box around the
    face mesh. ``width`` and ``height`` are the size of the photograph.
    """

    width: int
    height: int
    face_x: float
    face_y: float
    face_height: float
    outline: str  # x,y x,y ...


OUTLINES = {
    "astronaut": PersonOutline(
        512,
        512,
        225.4,
        122.9,
        109.4,
        "248,16 214,20 175,38 156,58 153,75 156,104 170,118 174,128 182,133 184,151 157,155 "
        "137,169 118,192 113,205 60,253 44,282 36,310 35,331 49,337 49,369 44,383 31,383 23,418 "
        "23,460 30,495 39,511 498,511 497,470 487,418 470,388 446,366 417,352 389,346 360,351 "
        "352,310 340,262 319,243 303,233 302,218 290,195 275,181 256,174 256,163 268,140 288,124 "
        "299,98 300,76 293,55 278,38 262,22",
    ),
    "grace_hopper": PersonOutline(
        512,
        600,
        262.0,
        233.7,
        203.7,
        "202,46 179,66 175,84 160,97 149,110 146,137 147,192 152,198 155,219 161,228 170,261 "
        "167,280 174,288 194,298 197,318 183,333 165,344 129,355 80,368 61,380 47,387 36,418 "
        "28,427 27,459 11,599 511,599 511,434 505,431 494,396 490,391 448,372 422,366 361,340 "
        "330,313 330,300 336,285 350,270 361,262 367,227 374,201 374,188 369,183 371,134 369,100 "
        "365,89 352,86 351,78 344,65 328,51 309,43 292,45 276,33 256,29 240,34 229,44 214,42",
    ),
}


def cut_out(name: str, photo: Image) -> npt.NDArray[np.uint8]:
    """Returns the person without the background: uint8 [H, W, 4], RGB times opacity, and opacity.

    The edge is soft, and the lower end of the photograph fades out. Raises InputError if ``photo``
    is not the RGB image of that photograph.
    """
    portrait = OUTLINES[name]
    if photo.shape != (portrait.height, portrait.width, 3) or photo.dtype != np.uint8:
        raise InputError(
            f"sample photograph {name} must be uint8 RGB [{portrait.height}, {portrait.width}, 3], "
            f"not {photo.dtype} {list(photo.shape)}: run `face-perception models fetch`"
        )
    mask: Image = np.zeros(photo.shape[:2], np.uint8)
    outline = [point.split(",") for point in portrait.outline.split()]
    cv2.fillPoly(mask, [np.array(outline, np.int32)], 255)
    # Shrink the outline a little, or a rim of the old background remains.
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    opacity = cv2.GaussianBlur(mask, (0, 0), 1.2).astype(np.float32) / 255
    rows = np.arange(portrait.height, dtype=np.float32)[:, None]
    opacity *= np.clip((portrait.height - 1 - rows) / (0.18 * portrait.height), 0, 1)
    opacity[:, [0, -1]] = 0
    cut = np.empty((*photo.shape[:2], 4), np.uint8)
    cut[..., :3] = np.rint(photo * opacity[..., None])
    cut[..., 3] = np.rint(255 * opacity)
    return cut
