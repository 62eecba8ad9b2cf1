"""Notices that a film fades from one person to another, whose face is then in the same place.

From image to image such a face hardly changes, so that it looks like one that is tracked well.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.faces.face_similarity import appearance_similarity
from face_perception.faces.track_state import ANOTHER, Track
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

_LONGEST = 2.5  # seconds; longest fade that is noticed
_LEAST_IMAGES = 6  # between the first and the last image of a fade
_WIDTH, _HEIGHT = 80, 60  # of the small copies of the images, pixels
_MARGIN = 0.7  # of the face, in face sizes, on each side of its centre
_LEAST_CHANGE = 8.0  # gray levels
# Largest deviation of the images in between from a mixture of the first and the last, as a share of
# their difference: in 28 fades of 0.3 to 2 s between pairs of 7 talking people it is at most 0.14;
# for people who move it is at least 0.44. Light that changes mixes too, but leaves the appearance.
_STRAIGHT = 0.25
_OUTLIERS = 0.1  # share of the images in between that may deviate more
# Share of the images in between that must show both people, so that no sudden change is a fade.
_MIXED = 1 / 3


class CrossFades:
    """Keeps small copies of the last images, and tells whether a face was faded in.

    Call ``add`` for each image, and then ``has_faded`` for each track that was updated to it.
    """

    def __init__(self) -> None:
        self._images: deque[tuple[float, FloatArray]] = deque()

    def add(self, image: Image, stamp: float) -> None:
        """Adds the image of ``stamp``, seconds."""
        # Every n-th pixel first, which takes a tenth of the time.
        down, across = (
            max(1, n // m // 2) for n, m in zip(image.shape[:2], (_HEIGHT, _WIDTH), strict=True)
        )
        green = np.ascontiguousarray(image[::down, ::across, 1])
        small = cv2.resize(green, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
        self._images.append((stamp, np.asarray(small, np.float32)))
        while self._images[0][0] < stamp - _LONGEST:
            self._images.popleft()

    def has_faded(self, track: Track, image_size: tuple[int, int]) -> bool:
        """Returns whether the face of a track was faded in. Keeps its appearance for later images.

        ``image_size`` is width and height in pixels.
        """
        seen = track.appearances
        seen.append((track.stamp, track.last_appearance))
        while seen[0][0] < track.stamp - _LONGEST:
            seen.popleft()
        # The latest appearance that differs enough is where the shortest possible fade begins.
        age = _LEAST_IMAGES
        while age < len(seen):
            stamp, before = seen[-1 - age]
            if appearance_similarity(before, track.last_appearance) < ANOTHER:
                return self._is_mixture(track, stamp, image_size)
            age += age // 2
        return False

    def _is_mixture(self, track: Track, since: float, image_size: tuple[int, int]) -> bool:
        """Returns whether the images since a time mix the first of them with the last one."""
        scale = np.array([_WIDTH, _HEIGHT]) / image_size
        low = np.clip((track.centre - _MARGIN * track.size) * scale, 0, (_WIDTH, _HEIGHT))
        high = np.clip((track.centre + _MARGIN * track.size) * scale, 0, (_WIDTH, _HEIGHT))
        (left, top), (right, bottom) = low.astype(int).tolist(), np.ceil(high).astype(int).tolist()
        images = [image for stamp, image in self._images if stamp >= since]
        values = np.array([image[top:bottom, left:right].ravel() for image in images])
        if len(values) <= _LEAST_IMAGES or not values.size:
            return False
        values -= values.mean(axis=1, keepdims=True)
        change = values[-1] - values[0]
        strength = float(change @ change)
        if strength < _LEAST_CHANGE**2 * len(change):
            return False
        between = values[1:-1] - values[0]
        share = between @ change / strength
        if np.mean((share > 0.1) & (share < 0.9)) < _MIXED:
            return False
        deviation = np.linalg.norm(between - share[:, None] * change, axis=1) / np.sqrt(strength)
        return bool(np.quantile(deviation, 1 - _OUTLIERS) < _STRAIGHT)
