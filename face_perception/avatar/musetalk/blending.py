"""A generated face back into its picture, softly: the crop about it, the mask, the paste.

Bit for bit what the published code does with Pillow, without it. Boxes are (left, top, right,
bottom) in pixels, right and bottom not included.
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
UPPER = 0.5  # share of the crop, from above, that is never touched
BLUR_OFFLINE, BLUR_PREPARED = 0.05, 0.1  # width of the blur as a share of the crop's width


def crop_box(face: Box, expand: float = EXPAND) -> Box:
    """The square about a face box in which the mask lives; it may leave the picture."""
    left, top, right, bottom = face
    x, y = (left + right) // 2, (top + bottom) // 2
    half = int(max(right - left, bottom - top) // 2 * expand)
    return x - half, y - half, x + half, y + half


def mask_blur_width(crop_width: int, share: float) -> int:
    """Odd width of the Gaussian that softens the mask."""
    return int(share * crop_width // 2 * 2) + 1


def soft_mask(
    area: Image, face: Box, crop: Box, *, blur: float = BLUR_PREPARED, upper: float = UPPER
) -> Image:
    """``area`` [H, W], 255 where speech shows in the crop, at any size -> mask [h, w] of the crop.

    Nothing outside the face box, nothing in the upper part, a soft edge.
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
    """The blend of one picture of an avatar, prepared: ``blend`` only does arithmetic.

    ``area`` is the part of the picture that changes, within it; ``weight`` [h, w, 3] (0 to 255) and
    ``face`` (the face box, which may leave the picture) as they were given to ``create``.
    """

    face: Box
    area: Box
    weight: npt.NDArray[np.uint16]

    @staticmethod
    def create(shape: tuple[int, ...], face: Box, crop: Box, mask: Image) -> Blender:
        """For pictures of ``shape`` (height, width, …), and a mask [h, w] of the crop.

        Raises InputError where mask and crop differ in size or the face box is empty.
        """
        if mask.shape != (crop[3] - crop[1], crop[2] - crop[0]):
            raise InputError(
                f"a mask of {list(mask.shape)} does not fit the crop {crop}: prepare it anew"
            )
        if face[2] <= face[0] or face[3] <= face[1]:
            raise InputError(f"the face box {face} is empty")
        # Outside the face box the crop is the picture itself: blending it changes nothing.
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
        """The network's face [S, S, 3] at the size of the face box."""
        size = (self.face[2] - self.face[0], self.face[3] - self.face[1])
        return np.asarray(cv2.resize(generated, size), np.uint8)

    def blend(self, picture: Image, face: Image) -> Image:
        """``picture`` uint8 [H, W, 3] with ``face`` [h, w, 3] (of the size of the face box, the
        same colour order) blended in, a new array.
        """
        result = picture.copy()
        self.blend_into(result, face)
        return result

    def blend_into(self, picture: Image, face: Image, share: float = 1.0) -> None:
        """The same in place; ``share`` (0 to 1) of the face, the rest stays the picture. Raises
        InputError where the face has another size than its box.
        """
        x, y = self.face[:2]
        if face.shape[:2] != (self.face[3] - y, self.face[2] - x):
            raise InputError(f"a face of {list(face.shape)} does not fit the box {self.face}")
        left, top, right, bottom = self.area
        target = picture[top:bottom, left:right]
        if target.size:
            weight = self.weight
            if share < 1:  # 255 * 256 fits in 16 bits
                weight = np.right_shift(weight * np.uint16(round(share * 256)), 8, dtype=np.uint16)
            blend_rounded(target, face[top - y : bottom - y, left - x : right - x], weight)


def blend(picture: Image, generated: Image, face: Box, area: Image) -> Image:
    """The published offline way for one picture: resize, mask of ``area`` in the crop, blend."""
    crop = crop_box(face)
    blender = Blender.create(
        picture.shape, face, crop, soft_mask(area, face, crop, blur=BLUR_OFFLINE)
    )
    return blender.blend(picture, blender.resized(generated))


def blend_rounded(below: Image, above: Image, weight: npt.NDArray[np.uint16]) -> None:
    """(above * weight + below * (255 - weight)) / 255, rounded, into ``below``: with bytes as
    Pillow does it, where x / 255 is ((x + 128) / 256 + x + 128) / 256. All fits in 16 bits.
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
    """uint8 [H, W] -> [height, width] of ``size`` (width, height), as Pillow's bicubic does it:
    smoothed where it shrinks, in rounded integers, rows first.
    """
    width, height = size
    if image.shape[1] != width:
        image = _along_rows(image, width)
    if image.shape[0] != height:
        image = np.ascontiguousarray(_along_rows(image.T, height).T)
    return image


def _along_rows(image: Image, width: int) -> Image:
    weights = _weights(image.shape[1], width)
    # Sums stay below 2^53, so that the faster products of float64 are exact.
    total = image.astype(np.float64) @ weights + float(1 << (_BITS - 1))
    levels: Image = np.clip(np.floor(total / (1 << _BITS)), 0, 255).astype(np.uint8)
    return levels


@functools.lru_cache(maxsize=8)
def _weights(before: int, after: int) -> npt.NDArray[np.float64]:
    """[before, after] whole numbers: what each of ``after`` pixels takes of each of ``before``."""
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
    """Keys' kernel with a = -0.5."""
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1
    if x < 2.0:
        return ((-0.5 * x + 2.5) * x - 4) * x + 2
    return 0.0
