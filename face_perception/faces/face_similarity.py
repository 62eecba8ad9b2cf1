"""Compares what two faces look like, to notice that another person took a face's place.

Such appearances are coarse: they tell two people in one video apart, but recognise nobody.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

_SIDE = 24  # of an appearance, pixels
_SAMPLED = 48  # pixels; the face is sampled at this size first, to avoid aliasing
_NEAR = 3.0  # pixels; standard deviation of the neighbourhood that a pixel is compared with
_FLOOR = 4.0  # gray levels; contrast below this is noise


def _oval() -> FloatArray:
    """Returns the mask [24, 24] of the face: 1 in its oval, 0 in the corners."""
    axis = (np.arange(_SIDE) - (_SIDE - 1) / 2) / (_SIDE / 2)
    return (axis[:, None] ** 2 + axis[None] ** 2 < 1).astype(np.float32)


def _blur() -> FloatArray:
    """Returns the matrix [24, 24] that blurs columns as ``cv2.GaussianBlur`` does.

    On so small an array two matrix products take a third of the time of ``cv2.GaussianBlur``.
    """
    kernel = cv2.getGaussianKernel(2 * (_SIDE // 2) + 1, _NEAR)
    matrix = cv2.sepFilter2D(np.eye(_SIDE), cv2.CV_64F, np.ones(1), kernel)
    return np.asarray(matrix, np.float32)


def _halves() -> FloatArray:
    """Returns the masks [576, 4] of the upper, lower, left and right half."""
    first = np.arange(_SIDE) < _SIDE // 2
    rows, columns = np.repeat(first, _SIDE), np.tile(first, _SIDE)
    return np.stack([rows, ~rows, columns, ~columns], axis=1).astype(np.float32)


_OVAL = _oval()
_BLUR = _blur()
_HALVES = _halves()


def measure_appearance(patch: Image, face: FloatArray) -> FloatArray:
    """Returns the appearance of a face, float32 [24, 24].

    ``patch`` is RGB uint8 [H, W, 3]. ``face`` [2, 3] maps the unit square to the upright box of the
    face, in pixels of the patch. Each value is the difference between a pixel and its
    neighbourhood, divided by the contrast there. So the strength, direction and colour of the light
    hardly change it.
    """
    sampled = cv2.warpAffine(
        patch,
        face * [1 / _SAMPLED, 1 / _SAMPLED, 1],
        (_SAMPLED, _SAMPLED),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    gray = cv2.cvtColor(sampled, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - _BLUR @ small @ _BLUR.T
    contrast = np.sqrt(_BLUR @ (detail * detail) @ _BLUR.T)
    return np.asarray(_OVAL * detail / (contrast + _FLOOR))


def appearance_similarity(a: FloatArray, b: FloatArray) -> float:
    """Returns the similarity, in [-1, 1], of two appearances [24, 24]; 1 if they are equal.

    It is the largest correlation among the upper, lower, left and right halves. A hand over the
    mouth or a wide-open mouth leaves one half unchanged; another person changes all four.
    """
    products = np.empty((3, _SIDE * _SIDE), np.float32)
    one, other = a.ravel(), b.ravel()
    np.multiply(one, other, out=products[0])
    np.multiply(one, one, out=products[1])
    np.multiply(other, other, out=products[2])
    sums: list[list[float]] = (products @ _HALVES).T.tolist()
    return max(both / math.sqrt(max(p * q, 1e-12)) for both, p, q in sums)
