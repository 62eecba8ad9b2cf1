"""Makes faces in an image unrecognisable."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from face_perception.types import Face, Image, Roi

_CELLS = 6  # of the longer side of a face; a face of 6 x 6 cells cannot be recognised
_MARGIN = 0.3  # of the longer side: hair, ears and chin are outside the box of the landmarks
_HOLD = 1.0  # seconds for which the place of a face that is not found any more stays covered


def pixelate(image: Image, boxes: Iterable[Roi]) -> Image:
    """Returns a copy of RGB uint8 [H, W, 3] in which each box is drawn in large cells.

    A box is enlarged by 30 % of its longer side on all sides.
    """
    out: Image = image.copy()
    tall, wide = image.shape[:2]
    for box in boxes:
        longer = max(box.width, box.height)
        margin = round(_MARGIN * longer)
        left, top = max(0, int(box.x) - margin), max(0, int(box.y) - margin)
        right = min(wide, int(box.x + box.width) + margin)
        bottom = min(tall, int(box.y + box.height) + margin)
        if right <= left or bottom <= top:
            continue
        cell = max(1, (longer + 2 * margin) / _CELLS)
        size = max(1, round((right - left) / cell)), max(1, round((bottom - top) / cell))
        small = cv2.resize(out[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        out[top:bottom, left:right] = np.asarray(
            cv2.resize(small, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
        )
    return out


class FacePixelation:
    """Pixelates the faces of a video.

    The place of a face stays covered for a second after it was last found, because the tracker
    misses faces for single images.

    >>> from face_perception.types import Roi
    >>> image = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    >>> covered = pixelate(image, [Roi(20, 20, 20, 20)])
    >>> bool((covered[0] == image[0]).all()), bool((covered[30] == image[30]).all())
    (True, False)
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[float, Roi]] = {}  # by face id: when it was found, and where

    def cover(self, image: Image, stamp: float, faces: Iterable[Face]) -> Image:
        """Returns the image with the faces covered that were found in it, or shortly before."""
        for face in faces:
            self._places[face.face_id] = (stamp, face.roi)
        self._places = {
            face_id: place
            for face_id, place in self._places.items()
            if abs(stamp - place[0]) <= _HOLD
        }
        return pixelate(image, [roi for _, roi in self._places.values()])
