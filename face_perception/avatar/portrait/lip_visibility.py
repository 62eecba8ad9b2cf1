"""Checks that the lips of a face are visible, so that a mouth can be drawn on them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.types import Face, FloatArray, Image

_LIPS = np.concatenate([faces.LIPS_OUTER_UPPER, faces.LIPS_OUTER_LOWER])
_EYES = (
    np.concatenate([faces.LEFT_EYE_UPPER, faces.LEFT_EYE_LOWER]),
    np.concatenate([faces.RIGHT_EYE_UPPER, faces.RIGHT_EYE_LOWER]),
)
# Smallest ratio of the contrast inside the lips to that inside the eyes. In 86 press photographs,
# 98 % are above 0.55 and the lowest is 0.40. With a plain mask drawn on the mouth (blue, white or
# black) the median is 0.03, with a blotchy mask 0.18.
_LEAST = 0.3
# Smallest contrast of the lips, for pictures whose eyes are hidden too. Lips have 15 and more,
# plain masks 2 to 3, blotchy masks 16.
_LEAST_ALONE = 12.0
# Contrast of the lips that no mask reaches. Above it, the eyes do not matter: in synthetic faces
# they have a contrast of 187, and the lips of 45 to 103 (12 faces).
_CLEAR = 40.0


def lips_visible(image: Image, face: Face) -> bool:
    """Returns whether the mouth of a face in an RGB image has the contrast of uncovered lips.

    A mask, hand or hair over the mouth has less contrast. Lips and teeth have about the contrast of
    the eyes in the same picture, independent of its light and sharpness. A mask with a printed
    mouth is not recognised.
    """
    crop = faces.crop_face(image, face)
    points = face.landmarks[:, :2] @ crop.transform[:, :2].T + crop.transform[:, 2]
    gray = cv2.GaussianBlur(cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    lips = _mean_inside(slope, points[_LIPS])
    eyes = float(np.mean([_mean_inside(slope, points[eye]) for eye in _EYES]))
    return lips > min(_LEAST * eyes, _CLEAR) and lips > _LEAST_ALONE


def _mean_inside(values: npt.NDArray[np.floating], points: FloatArray) -> float:
    """Returns the mean of values [H, W] inside the hull of points [N, 2]; 0 outside the image."""
    inside = np.zeros(values.shape, np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return float(values[inside > 0].mean()) if inside.any() else 0.0
