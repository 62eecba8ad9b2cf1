"""Looks: coarse pictures of how faces appear, to tell two people apart, not to recognise anybody.

A "look" here is an appearance. It has nothing to do with gaze.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

_SIDE = 24
_SAMPLED = 48  # the face is first sampled at this size, to avoid aliasing
_NEAR = 3.0  # pixels; scale of the neighbourhood that a pixel is compared with
_FLOOR = 4.0  # grey levels; lower contrast is noise


def _oval() -> FloatArray:
    """Mask of a look [24, 24]: 1 in the oval of the face, 0 in the corners."""
    axis = (np.arange(_SIDE) - (_SIDE - 1) / 2) / (_SIDE / 2)
    return (axis[:, None] ** 2 + axis[None] ** 2 < 1).astype(np.float32)


_OVAL = _oval()


def look(patch: Image, face: FloatArray) -> FloatArray:
    """The look of a face, float32 [24, 24]; compare two with ``likeness``.

    ``patch`` RGB uint8 [H, W, 3]; ``face`` [2, 3] maps the unit square, in which the face's box is
    upright, to pixels of the patch. Each value says how much lighter or darker a place is than its
    neighbourhood, divided by the contrast there. Light from one side or of another colour hardly
    changes it; another person changes all of it.
    """
    sampled = cv2.warpAffine(
        patch,
        face * [1 / _SAMPLED, 1 / _SAMPLED, 1],
        (_SAMPLED, _SAMPLED),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    grey = cv2.cvtColor(sampled, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), _NEAR)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _NEAR))
    return np.asarray(_OVAL * detail / (contrast + _FLOOR))


def likeness(a: FloatArray, b: FloatArray) -> float:
    """Likeness of two looks: the best correlation of their upper, lower, left and right halves.

    1 for equal looks. A hand over the mouth, or a wide-open mouth, leaves another half unchanged;
    another person changes all four.
    """
    both, own, other = _halves(a * b), _halves(a * a), _halves(b * b)
    return float((both / np.sqrt(np.maximum(own * other, 1e-12))).max())


def _halves(products: FloatArray) -> FloatArray:
    """Sums over the upper, lower, left and right half of a look, [4]."""
    half = _SIDE // 2
    quarters = products.reshape(2, half, 2, half).sum(axis=(1, 3))
    return np.concatenate([quarters.sum(axis=1), quarters.sum(axis=0)])
