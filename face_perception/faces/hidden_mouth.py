"""Measures how well the mouth is visible in the crop of a face. A mask, scarf or hand hides it.

Landmarks and networks return a mouth even if it is hidden, so the pixels are measured. Between nose
and chin, a face has lips, which have about the contrast of the eyes; nostrils, which are dark; and
edges in all directions, most of them along the lips. A mask is plain, a scarf has folds, and hands
have fingers. Only gray levels count, so that infrared cameras give the same.
"""

from __future__ import annotations

import cv2
import numpy as np

from face_perception.faces.crops import check_crop
from face_perception.types import FaceCrop, Image

HIDDEN_BELOW = 0.5  # visibility below which nothing that the mouth shows counts

# The part of the crop (160x160) that is measured, and rows and columns of that part. The crop is
# aligned without the mouth.
_PART = (slice(36, 128), slice(38, 122))
_MOUTH, _LIPS = (slice(56, 84), slice(18, 66)), (slice(56, 84), slice(22, 62))
_EYES = ((slice(10, 24), slice(8, 32)), (slice(10, 24), slice(52, 76)))
_NOSTRILS = (slice(44, 56), slice(28, 56))
_LOWER_FACE = (slice(44, 89), slice(2, 82))
_CHEEKS = ([34, 34, 44, 44, 39, 39], [14, 70, 12, 72, 10, 74])
_LEAST = 4.0  # slope of eyes without any contrast

# The visibility goes from 0 to 1 between each pair. They were chosen on 90 people in press
# photographs with covers drawn on them, and on CK+, whose pressed lips and bared teeth have edges
# like those of folds; docs/affect.md has figures of others.
# Contrast of the mouth relative to the eyes, plus twice the darkness of the nostrils relative to
# the skin. Half of the faces are above 1.2, half of those with a plain mask below 0.35.
_CONTRAST = (0.40, 0.54)
# Mean slope from row to row relative to that from column to column: 2.1 in half of the faces, 7 in
# scarves; 0.2 behind upright fingers.
_UPRIGHT, _ACROSS = (0.5, 0.9), (5.2, 6.4)
_OUTSIDE = (0.15, 0.45)  # share of the lower face that is outside the image


def mouth_visibility(crop: FaceCrop) -> float:
    """Returns how well the mouth of a crop of ``crop_face`` can be seen, 0 (hidden) to 1.

    A mask with a printed mouth is not recognised, a hand whose fingers lie across the lips seldom.
    Raises InputError if the crop is not RGB uint8 [160, 160, 3].

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> (face,) = load_tracker().detect(frame)
    >>> crop = crop_face(frame.image, face)
    >>> shown = mouth_visibility(crop)
    >>> crop.image[75:] = 200  # a plain mask
    >>> shown, mouth_visibility(crop)
    (1.0, 0.0)
    """
    check_crop(crop)
    gray = cv2.cvtColor(crop.image[_PART], cv2.COLOR_RGB2GRAY)
    lower = gray[_LOWER_FACE]  # a crop is black outside the image
    outside = 1 - cv2.countNonZero(lower) / lower.size
    if outside >= _OUTSIDE[1]:
        return 0.0
    gray = cv2.GaussianBlur(gray, (5, 5), 1.0)
    across, down = cv2.spatialGradient(gray)
    eyes = sum(_mean(slope, eye) for slope in (across, down) for eye in _EYES) / 2
    mouth = _mean(across, _MOUTH) + _mean(down, _MOUTH)
    contrast = mouth / max(eyes, _LEAST) + 2 * _darkness_of_nostrils(gray)
    direction = _mean(down, _LIPS) / (_mean(across, _LIPS) + 1)
    return min(
        _ramp(contrast, _CONTRAST),
        _ramp(direction, _UPRIGHT),
        1 - _ramp(direction, _ACROSS),
        1 - _ramp(outside, _OUTSIDE),
    )


def _darkness_of_nostrils(gray: Image) -> float:
    """Returns how much darker the darkest 4 % at the nose are than the rest, relative to skin."""
    below = gray[_NOSTRILS].ravel()
    below = np.partition(below, (below.size // 25, below.size // 2))
    cheeks = sorted(gray[_CHEEKS].tolist())
    skin = (cheeks[2] + cheeks[3]) / 2 + 10
    darker = float(below[below.size // 2]) - float(below[below.size // 25])
    return darker / float(skin)


def _mean(slope: np.ndarray, where: tuple[slice, slice]) -> float:
    """Returns the mean of the absolute values."""
    part = slope[where]
    return float(cv2.norm(part, cv2.NORM_L1)) / part.size


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
