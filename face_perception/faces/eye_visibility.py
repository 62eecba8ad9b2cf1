"""Measures how well the eyes are visible. Dark glasses, glare and blur hide them.

The mesh network returns landmarks of the eyes even if they are hidden, so the pixels are measured.
An eye has a dark pupil next to a light sclera. Dark glasses are dark everywhere. Glare and strong
blur have no contrast.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.faces.landmarks import (
    LEFT_INNER_CANTHUS,
    LEFT_OUTER_CANTHUS,
    RIGHT_INNER_CANTHUS,
    RIGHT_OUTER_CANTHUS,
)
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

_EYES = ((LEFT_OUTER_CANTHUS, LEFT_INNER_CANTHUS), (RIGHT_OUTER_CANTHUS, RIGHT_INNER_CANTHUS))
_SKIN = np.array([50, 280, 117, 346, 6, 197, 195, 5])  # cheeks and the bridge of the nose
_WIDTH, _HEIGHT = 22, 10  # of the patch between the lids, pixels, with the canthi 24 pixels apart
_CANTHI_APART = 24.0

# Contrast is the difference between the 90th and the 10th percentile of the gray levels in the
# patch; light is the 90th percentile. Both are divided by the gray level of the skin. In 678 faces
# in press photographs the contrast has a median of 0.51 and a 5th percentile of 0.27. With dark
# glasses the contrast is 0.09 to 0.19 and the light 0.20 to 0.46. Visibility goes from 0 to 1
# between each pair.
_EVEN, _CLEAR = 0.10, 0.30
_DARK, _LIGHT = 0.20, 0.50
_TIME_CONSTANT = 0.2  # seconds of the smoothing over images


def eye_visibility(image: Image, landmarks: FloatArray) -> FloatArray:
    """Returns the visibility of the left and right eye, [2] in [0, 1].

    ``image`` is RGB uint8 [H, W, 3], ``landmarks`` [478, 3] are in its pixels. Returns NaN for an
    eye that is outside the image.
    """
    height, width = image.shape[:2]
    inside = [
        (int(x), int(y))
        for x, y, _ in landmarks[_SKIN].tolist()
        if 0 <= x < width and 0 <= y < height
    ]
    if not inside:
        return np.full(2, np.nan)
    columns, rows = zip(*inside, strict=True)
    grays = sorted(_gray(image[rows, columns][None])[0].tolist())
    skin = max(float(grays[len(grays) // 2]), 10.0)
    return np.array([_of_eye(image, landmarks, eye, skin) for eye in _EYES])


def _of_eye(image: Image, landmarks: FloatArray, eye: tuple[int, int], skin: float) -> float:
    """Returns the visibility of an ``eye`` (its canthi); ``skin`` is the gray level of skin."""
    height, width = image.shape[:2]
    (x0, y0, _), (x1, y1, _) = (landmarks[end].tolist() for end in eye)
    if not all(0 <= x < width and 0 <= y < height for x, y in ((x0, y0), (x1, y1))):
        return math.nan
    # One pixel to the right in the patch is (dx, dy) in the image, one pixel down is (-dy, dx).
    dx, dy = (x1 - x0) / _CANTHI_APART, (y1 - y0) / _CANTHI_APART
    right, down = (_WIDTH - 1) / 2, (_HEIGHT - 1) / 2
    left = (x0 + x1) / 2 - right * dx + down * dy
    top = (y0 + y1) / 2 - right * dy - down * dx
    patch = cv2.warpAffine(
        image,
        np.array([[dx, -dy, left], [dy, dx, top]]),
        (_WIDTH, _HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Sorting is faster than numpy's percentile and median (0.16 against 0.60 ms per face).
    ordered = np.sort(_gray(patch), axis=None)
    low, high = (float(ordered[round(share * (ordered.size - 1))]) / skin for share in (0.1, 0.9))
    contrast = (high - low - _EVEN) / (_CLEAR - _EVEN)
    light = (high - _DARK) / (_LIGHT - _DARK)
    return min(max(contrast, 0.0), 1.0) * min(max(light, 0.0), 1.0)


def _gray(pixels: Image) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY))


class EyeVisibility:
    """Smooths the visibility of both eyes of one track over time."""

    def __init__(self) -> None:
        self._smooth = [math.nan] * 2
        self._stamp = math.nan

    def update(self, seen: FloatArray, stamp: float) -> FloatArray:
        """Returns the smoothed visibility [2].

        ``seen`` [2] is the visibility in the image of ``stamp`` seconds. Returns NaN for an
        eye that has never been in the image.
        """
        elapsed = max(stamp - self._stamp, 0.0) if math.isfinite(self._stamp) else math.inf
        self._stamp = stamp
        share = 1 - math.exp(-elapsed / _TIME_CONSTANT)
        for eye, (before, now) in enumerate(zip(self._smooth, seen.tolist(), strict=True)):
            if math.isfinite(now):
                known = math.isfinite(before)
                self._smooth[eye] = before + share * (now - before) if known else now
        return np.array(self._smooth)
