"""Blends a generated face into its picture: the crop around it, the soft mask, and the paste.

Gives the same bytes as the published code, which uses Pillow. Boxes are (left, top, right, bottom)
in pixels; right and bottom are excluded.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import Image

Box = tuple[int, int, int, int]

EXPAND = 1.5
UPPER = 0.5  # upper share of the crop that is never changed
BLUR = 0.1  # width of the blur as a share of the width of the crop


def crop_box(face: Box, expand: float = EXPAND) -> Box:
    """Returns the square around a face box that the mask covers. It may leave the picture."""
    left, top, right, bottom = face
    x, y = (left + right) // 2, (top + bottom) // 2
    half = int(max(right - left, bottom - top) // 2 * expand)
    return x - half, y - half, x + half, y + half


def mask_blur_width(crop_width: int, share: float) -> int:
    """Returns the width of the Gaussian that softens the mask: an odd number of pixels."""
    return int(share * crop_width // 2 * 2) + 1


def soft_mask(
    area: Image, face: Box, crop: Box, *, blur: float = BLUR, upper: float = UPPER
) -> Image:
    """Returns the mask of a crop, uint8 [h, w]: 255 where the generated face is shown.

    ``area`` [H, W] is 255 where speech changes the face; it is resized to the crop. The mask has a
    soft edge, and is 0 outside the face box and in the ``upper`` share of the crop. ``blur`` is the
    width of the edge as a share of the width of the crop.
    """
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    sized = resize_bicubic(area, (width, height))
    mask = np.zeros((height, width), np.uint8)
    top, bottom = max(face[1] - crop[1], int(height * upper), 0), min(face[3] - crop[1], height)
    left, right = max(face[0] - crop[0], 0), min(face[2] - crop[0], width)
    mask[top:bottom, left:right] = sized[top:bottom, left:right]
    kernel = mask_blur_width(width, blur)
    return np.asarray(cv2.GaussianBlur(mask, (kernel, kernel), 0), np.uint8)


@dataclass(frozen=True, slots=True)
class Blender:
    """Blends generated faces into one picture of an avatar. ``blend`` only does arithmetic.

    - ``face``: the face box, which may extend beyond the picture.
    - ``area``: the part of the picture that changes, inside the picture.
    - ``weight`` [h, w, 3]: 0 to 255, share of the generated face in ``area``.

    >>> picture, box = np.zeros((128, 128, 3), np.uint8), (32, 32, 96, 96)
    >>> crop = crop_box(box)
    >>> mask = np.full((crop[3] - crop[1], crop[2] - crop[0]), 255, np.uint8)
    >>> blender = Blender.create(picture.shape, box, crop, mask)
    >>> generated = np.full((256, 256, 3), 200, np.uint8)
    >>> blended = blender.blend(picture, blender.resized(generated))
    >>> blended[64, 64].tolist(), blended[0, 0].tolist()  # inside and outside of the face box
    ([200, 200, 200], [0, 0, 0])
    """

    face: Box
    area: Box
    weight: npt.NDArray[np.uint16]

    @staticmethod
    def create(shape: tuple[int, ...], face: Box, crop: Box, mask: Image) -> Blender:
        """Creates a blender for pictures of ``shape`` (height, width, …) and a mask [h, w] of the
        crop.

        Raises InputError if mask and crop differ in size or the face box is empty.
        """
        if mask.shape != (crop[3] - crop[1], crop[2] - crop[0]):
            raise InputError(
                f"a mask of {list(mask.shape)} does not fit the crop {crop}: prepare the avatar "
                "again"
            )
        if face[2] <= face[0] or face[3] <= face[1]:
            raise InputError(f"the face box {face} is empty")
        # Outside the face box the crop equals the picture, so blending would change nothing.
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return Blender(face, (0, 0, 0, 0), np.zeros((0, 0, 3), np.uint16))
        left = max(crop[0] + int(columns[0]), face[0], 0)
        right = min(crop[0] + int(columns[-1]) + 1, face[2], shape[1])
        top = max(crop[1] + int(rows[0]), face[1], 0)
        bottom = min(crop[1] + int(rows[-1]) + 1, face[3], shape[0])
        right, bottom = max(right, left), max(bottom, top)
        part = mask[top - crop[1] : bottom - crop[1], left - crop[0] : right - crop[0]]
        weight = np.repeat(part[:, :, None], 3, axis=2).astype(np.uint16)
        return Blender(face, (left, top, right, bottom), weight)

    def resized(self, generated: Image) -> Image:
        """Resizes the generated face [S, S, 3] to the size of the face box."""
        size = (self.face[2] - self.face[0], self.face[3] - self.face[1])
        return np.asarray(cv2.resize(generated, size), np.uint8)

    def blend(self, picture: Image, face: Image) -> Image:
        """Returns a copy of ``picture``, uint8 [H, W, 3], with ``face`` [h, w, 3] blended in.

        ``face`` has the size of the face box and the same colour order.
        """
        result = picture.copy()
        self.blend_into(result, face)
        return result

    def blend_into(self, picture: Image, face: Image, share: float = 1.0) -> None:
        """Blends ``face`` into ``picture`` in place, with opacity ``share`` in [0, 1].

        Raises InputError if the face and its box differ in size.
        """
        x, y = self.face[:2]
        if face.shape[:2] != (self.face[3] - y, self.face[2] - x):
            raise InputError(
                f"a face of {list(face.shape)} does not fit the box {self.face}: call resized() "
                "first"
            )
        left, top, right, bottom = self.area
        target = picture[top:bottom, left:right]
        if target.size:
            weight = self.weight
            if share < 1:  # 255 * 256 fits in 16 bits
                weight = np.right_shift(weight * np.uint16(round(share * 256)), 8, dtype=np.uint16)
            blend_rounded(target, face[top - y : bottom - y, left - x : right - x], weight)


def blend_rounded(below: Image, above: Image, weight: npt.NDArray[np.uint16]) -> None:
    """Writes (above * weight + below * (255 - weight)) / 255, rounded, into ``below``.

    Rounds as Pillow does for bytes: x / 255 is ((x + 128) / 256 + x + 128) / 256 in integers. All
    values fit in 16 bits.
    """
    # below * (255 - w) + above * w, without a second product of the whole image.
    total = np.multiply(above, weight, dtype=np.uint16)
    total += np.multiply(below, 255 - weight, dtype=np.uint16)
    total += 128
    total += total >> 8
    total >>= 8
    below[:] = total


# Pillow's fixed-point arithmetic for bytes.
_BITS = 32 - 8 - 2


def resize_bicubic(image: Image, size: tuple[int, int]) -> Image:
    """Resizes uint8 [H, W] to ``size`` (width, height), with the same result as Pillow's bicubic.

    Pillow's bicubic smooths when it shrinks, rounds to integers, and resizes rows first.
    """
    width, height = size
    if image.shape[1] != width:
        image = _along_rows(image, width)
    if image.shape[0] != height:
        image = np.ascontiguousarray(_along_rows(image.T, height).T)
    return image


def _along_rows(image: Image, width: int) -> Image:
    weights = _weights(image.shape[1], width)
    # Sums stay below 2^53, so products in float64 are exact, and faster than in integers.
    total = image.astype(np.float64) @ weights + float(1 << (_BITS - 1))
    levels: Image = np.clip(np.floor(total / (1 << _BITS)), 0, 255).astype(np.uint8)
    return levels


@functools.lru_cache(maxsize=8)
def _weights(before: int, after: int) -> npt.NDArray[np.float64]:
    """Returns integer weights [before, after]: how much of each old pixel each new pixel takes."""
    scale = before / after
    stretch = max(scale, 1.0)
    support = 2.0 * stretch
    made = np.zeros((before, after))
    for k in range(after):
        centre = (k + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), before)
        values = [_cubic((x - centre + 0.5) / stretch) for x in range(first, last)]
        total = sum(values)
        for x, value in zip(range(first, last), values, strict=True):
            share = value / total * (1 << _BITS)
            made[x, k] = int(share + math.copysign(0.5, share))
    return made


def _cubic(x: float) -> float:
    """Returns Keys' cubic kernel with a = -0.5."""
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1
    if x < 2.0:
        return ((-0.5 * x + 2.5) * x - 4) * x + 2
    return 0.0
