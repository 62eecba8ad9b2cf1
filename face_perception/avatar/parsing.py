"""Which pixels of a face MuseTalk replaces, from a map of face parts. Makes no such map.

Parts are numbered as BiSeNet trained on CelebAMask-HQ has them; maps are 512 x 512 of the crop.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

SIDE = 512
SKIN, NOSE, MOUTH, UPPER_LIP, LOWER_LIP, NECK = 1, 10, 11, 12, 13, 14
MODES = ("raw", "neck", "jaw")
# Half the width of the middle, where the cheeks are not: of the published scripts.
CHEEKS = 90
_LIPS = (MOUTH, UPPER_LIP, LOWER_LIP)
_CONE, _CONE_TIP, _CONE_HALF = 33, 10, 10


def talking_area(parts: npt.NDArray[np.integer], mode: str = "jaw", cheeks: int = CHEEKS) -> Image:
    """``parts`` [512, 512] of face parts -> mask uint8 [512, 512], 255 where speech shows.

    ``raw`` is skin and mouth (MuseTalk 1.0), ``neck`` the neck too, ``jaw`` (1.5) skin grown by a
    cone, its cheeks (``cheeks`` columns or more from the middle) thinned from both sides, without
    the nose. Raises ValueError for another mode or size.
    """
    if mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}: use one of {', '.join(MODES)}")
    if parts.shape != (SIDE, SIDE):
        raise ValueError(f"a map of face parts must be [{SIDE}, {SIDE}], not {list(parts.shape)}")
    if mode != "jaw":
        return _mask(np.isin(parts, (SKIN, *_LIPS) + ((NECK,) if mode == "neck" else ())))
    grown = np.asarray(cv2.dilate(_mask(parts == SKIN), cone()))
    thinned = cv2.erode(grown, cheek_kernel(), iterations=2)
    region = np.where(cheek_columns(cheeks) > 0, thinned, grown) > 0
    return _mask((region & (parts != NOSE)) | np.isin(parts, _LIPS))


def cone() -> Image:
    """[33, 33] of 0 and 1: a triangle with its tip in row 10, widening downwards to 21."""
    rows, columns = np.mgrid[:_CONE, :_CONE]
    half = np.minimum(rows - _CONE_TIP, _CONE_HALF)
    inside: Image = (np.abs(columns - _CONE // 2) <= half).astype(np.uint8)
    return inside


def cheek_kernel() -> Image:
    """[3, 35] of 0 and 1: a flat ellipse."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3)), np.uint8)


def cheek_columns(cheeks: int = CHEEKS) -> Image:
    """Mask [512, 512], 255 in the columns at least ``cheeks`` from the middle."""
    columns = np.abs(np.arange(SIDE) - SIDE // 2) >= cheeks
    return np.repeat(_mask(columns)[None], SIDE, axis=0)


def _mask(area: npt.NDArray[np.bool_]) -> Image:
    made: Image = area.astype(np.uint8) * 255
    return made
