"""Selects the pixels of a face that MuseTalk replaces, from a map of face parts.

Also draws such a map from the landmarks. Parts are numbered as in BiSeNet trained on CelebAMask-HQ;
maps cover the crop with 512 x 512 pixels.
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
# Columns from the middle at which the cheeks begin, as in the published scripts.
CHEEKS = 90
_LIPS = (MOUTH, UPPER_LIP, LOWER_LIP)
_CONE, _CONE_TIP, _CONE_HALF = 33, 10, 10


def talking_area(parts: npt.NDArray[np.integer], mode: str = "jaw", cheeks: int = CHEEKS) -> Image:
    """Returns a mask, uint8 [512, 512]: 255 where speech changes the face.

    ``parts`` [512, 512] are the numbers of face parts. The modes:

    - ``raw`` (MuseTalk 1.0): skin and mouth; ``neck``: the neck, too.
    - ``jaw`` (MuseTalk 1.5): mouth, and skin dilated downwards with a cone, without the nose. The
      cheeks, ``cheeks`` columns or more from the middle, are eroded.

    Raises InputError for another mode or size.
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
    """Draws the face parts of a crop, uint8 [512, 512], from landmarks [478, 3] in pixels.

    Only skin, nose, lips and mouth are drawn, which is all that ``talking_area`` needs for a face
    that nothing covers. It replaces the published segmentation network, but ignores hands and hair.
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
    """Returns a kernel [33, 33] of 0 and 1: a triangle, its tip in row 10, up to 21 wide."""
    rows, columns = np.mgrid[:_CONE, :_CONE]
    half = np.minimum(rows - _CONE_TIP, _CONE_HALF)
    inside: Image = (np.abs(columns - _CONE // 2) <= half).astype(np.uint8)
    return inside


def cheek_kernel() -> Image:
    """Returns the kernel [3, 35] of 0 and 1, a flat ellipse, that thins the area at the cheeks."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3)), np.uint8)


def cheek_columns(cheeks: int = CHEEKS) -> Image:
    """Returns a mask [512, 512]: 255 in the columns at least ``cheeks`` from the middle."""
    columns = np.abs(np.arange(SIDE) - SIDE // 2) >= cheeks
    return np.repeat(_mask(columns)[None], SIDE, axis=0)


def _mask(area: npt.NDArray[np.bool_]) -> Image:
    made: Image = area.astype(np.uint8) * 255
    return made
