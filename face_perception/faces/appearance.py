"""Looks: coarse pictures of how faces appear, to tell two people apart, not to recognise anybody.

A "look" here is an appearance. It has nothing to do with gaze.
"""

from __future__ import annotations

import math

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


def _blur() -> FloatArray:
    """Matrix [24, 24] that blurs the columns of a look, as ``cv2.GaussianBlur`` does.

    On so small an array two matrix products take a third of the time of ``cv2.GaussianBlur``.
    """
    kernel = cv2.getGaussianKernel(2 * (_SIDE // 2) + 1, _NEAR)
    matrix = cv2.sepFilter2D(np.eye(_SIDE), cv2.CV_64F, np.ones(1), kernel)
    return np.asarray(matrix, np.float32)


def _halves() -> FloatArray:
    """Masks of the upper, lower, left and right half of a look, [576, 4]."""
    first = np.arange(_SIDE) < _SIDE // 2
    rows, columns = np.repeat(first, _SIDE), np.tile(first, _SIDE)
    return np.stack([rows, ~rows, columns, ~columns], axis=1).astype(np.float32)


_OVAL = _oval()
_BLUR = _blur()
_HALVES = _halves()


def measure_appearance(patch: Image, face: FloatArray) -> FloatArray:
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
    detail = small - _BLUR @ small @ _BLUR.T
    contrast = np.sqrt(_BLUR @ (detail * detail) @ _BLUR.T)
    return np.asarray(_OVAL * detail / (contrast + _FLOOR))


def appearance_similarity(a: FloatArray, b: FloatArray) -> float:
    """Likeness of two looks: the best correlation of their upper, lower, left and right halves.

    1 for equal looks. A hand over the mouth, or a wide-open mouth, leaves another half unchanged;
    another person changes all four.
    """
    products = np.empty((3, _SIDE * _SIDE), np.float32)
    one, other = a.ravel(), b.ravel()
    np.multiply(one, other, out=products[0])
    np.multiply(one, one, out=products[1])
    np.multiply(other, other, out=products[2])
    sums: list[list[float]] = (products @ _HALVES).T.tolist()
    return max(both / math.sqrt(max(p * q, 1e-12)) for both, p, q in sums)
