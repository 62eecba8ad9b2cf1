"""Which pixels of a face MuseTalk replaces, from a map of face parts, and such a map from our mesh.

Parts are numbered as BiSeNet trained on CelebAMask-HQ has them; maps are 512 x 512 of the crop.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.musetalk.blending import Box
from face_perception.errors import InputError
from face_perception.types import FloatArray, Image

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
    the nose. Raises InputError for another mode or size.
    """
    if mode not in MODES:
        raise InputError(f"there is no mode {mode!r}: use one of {', '.join(MODES)}")
    if parts.shape != (SIDE, SIDE):
        raise InputError(f"a map of face parts must be [{SIDE}, {SIDE}], not {list(parts.shape)}")
    if mode != "jaw":
        return _mask(np.isin(parts, (SKIN, *_LIPS) + ((NECK,) if mode == "neck" else ())))
    grown = np.asarray(cv2.dilate(_mask(parts == SKIN), cone()))
    thinned = cv2.erode(grown, cheek_kernel(), iterations=2)
    region = np.where(cheek_columns(cheeks) > 0, thinned, grown) > 0
    return _mask((region & (parts != NOSE)) | np.isin(parts, _LIPS))


def parts_from_mesh(landmarks: FloatArray, crop: Box) -> Image:
    """Landmarks [478, 3] in pixels -> face parts uint8 [512, 512] of a crop of the picture.

    Skin, nose, lips and mouth only: what the mask is made of where the face is not covered. It
    stands in for the published segmentation network, and does not know hands and hair.
    """
    scale = SIDE / np.array([crop[2] - crop[0], crop[3] - crop[1]])
    points = (landmarks[:, :2] - np.array(crop[:2])) * scale
    parts = np.zeros((SIDE, SIDE), np.uint8)

    def fill(outline: FloatArray, part: int) -> None:
        fixed = np.rint(outline * 16).astype(np.int32)
        cv2.fillPoly(parts, [fixed], part, shift=4)

    def between(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> FloatArray:
        outline: FloatArray = points[np.concatenate([one, other[::-1]])]
        return outline

    fill(points[faces.FACE_OVAL], SKIN)
    hull = cv2.convexHull(points[faces.NOSE_HULL].astype(np.float32))
    fill(np.asarray(hull)[:, 0], NOSE)
    fill(between(faces.LIPS_OUTER_UPPER, faces.LIPS_INNER_UPPER), UPPER_LIP)
    fill(between(faces.LIPS_OUTER_LOWER, faces.LIPS_INNER_LOWER), LOWER_LIP)
    fill(between(faces.LIPS_INNER_UPPER, faces.LIPS_INNER_LOWER), MOUTH)
    return parts


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
