"""Finds faces in a whole image: BlazeFace full range, boxes and six keypoints. Tracks nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.inference import Model
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

# Facts of the network: MediaPipe, modules/face_detection/face_detection_full_range.pbtxt and
# face_detection.pbtxt (one layer of stride 4, anchors of unit size, coordinates in input pixels).
_SIDE = 192
_STRIDE = 4
_KEYPOINTS = 6
_MAX_OVERLAP = 0.3

# A face needs about 12 pixels of the network's input: 40 of an image 640 wide, 120 of one 1920
# wide. Larger images than the input are therefore also searched window by window.
_MIN_WINDOW = 480
_MAX_WINDOWS_A_SIDE = 3  # side by side; a few more with the overlap
_WINDOW_OVERLAP = 5  # a fifth: larger faces are found in the whole image

# A face of less than this share of the image is looked at again in a window of this many times
# its size, also one that reached only this share of the score.
_LARGE = 0.25
_CLOSE = 3.0
_HINT = 0.7

Window = tuple[int, int, int, int]  # x, y, width, height, pixels


@dataclass(frozen=True)
class Detection:
    """A face in an image: ``box`` [4] x, y, width, height and ``keypoints`` [6, 2], pixels.

    Keypoints: right eye, left eye, nose tip, mouth centre, right and left ear; the person's own
    right and left.
    """

    score: float
    box: FloatArray
    keypoints: FloatArray


def windows(width: int, height: int) -> list[Window]:
    """Overlapping parts of an image in which to look for small faces; none for a small image."""
    side = max(_MIN_WINDOW, max(width, height) // _MAX_WINDOWS_A_SIDE)
    if side >= max(width, height):
        return []
    columns, rows = _spread(width, side), _spread(height, side)
    return [(x, y, min(side, width), min(side, height)) for y in rows for x in columns]


def _spread(length: int, side: int) -> list[int]:
    """Where windows begin along a side of an image so that they cover it evenly."""
    free = length - side
    if free <= 0:
        return [0]
    steps = math.ceil(free / (side - side // _WINDOW_OVERLAP))
    return [round(free * i / steps) for i in range(steps + 1)]


class Detector:
    """Faces of an image, best score first. Not for use by two threads at once."""

    def __init__(self, model: Model, min_score: float = 0.6) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score of the face detector must be in [0, 1], not {min_score}")
        self._model = model
        self._min_score = min_score
        cells = _SIDE // _STRIDE
        rows, columns = np.divmod(np.arange(cells * cells), cells)
        self._anchors = (np.stack([columns, rows], 1) + 0.5) * _STRIDE
        self._input = np.empty((1, _SIDE, _SIDE, 3), np.float32)

    def detect(self, image: Image, window: Window | None = None) -> list[Detection]:
        """Faces in an RGB image uint8 [H, W, 3] or in a window of it; empty where there is none.

        Small ones are included where they only may be faces: ``again`` tells.
        """
        large = _LARGE * max(window[2:] if window else image.shape[:2])
        return [
            found
            for found in self._detect(image, window, _HINT * self._min_score)
            if found.score >= self._min_score or max(found.box[2:]) <= large
        ]

    def _detect(self, image: Image, window: Window | None, min_score: float) -> list[Detection]:
        x, y, width, height = window or (0, 0, image.shape[1], image.shape[0])
        scale, offset = self._letterbox(image[y : y + height, x : x + width])
        output = self._model.infer({"image": self._input})
        logits = output["scores"].reshape(-1)
        min_logit = math.log(max(min_score, 1e-12) / max(1 - min_score, 1e-12))
        hits = np.flatnonzero(logits >= min_logit)
        if hits.size == 0:
            return []
        raw = output["boxes"].reshape(-1, 4 + 2 * _KEYPOINTS)[hits].astype(np.float64)
        points = raw.reshape(len(hits), -1, 2)  # centre, size, keypoints
        points[:, 0] += self._anchors[hits]
        points[:, 2:] += self._anchors[hits, None]
        corners = np.stack([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], 1)
        scores = 1 / (1 + np.exp(-np.clip(logits[hits].astype(np.float64), -100, 100)))
        found = []
        for score, merged in _merge(scores, np.concatenate([corners, points[:, 2:]], 1)):
            pixels = (merged - offset) / scale + (x, y)
            box = np.concatenate([pixels[0], pixels[1] - pixels[0]])
            if (box[2:] > 0).all():
                found.append(Detection(score, box, pixels[2:]))
        return found

    def again(self, image: Image, detection: Detection) -> Detection | None:
        """The same face, small in the image, as seen from near; None where it was none.

        The eyes of a face that covers a few cells of the grid are too coarse to say how it is
        turned, and what only looks like a face from afar is not found again.
        """
        x, y, width, height = detection.box
        if max(width, height) > _LARGE * max(image.shape[:2]):
            return detection
        half = _CLOSE / 2 * max(width, height)
        low = np.maximum((x + width / 2 - half, y + height / 2 - half), 0).astype(int)
        high = np.minimum((x + width / 2 + half, y + height / 2 + half), image.shape[1::-1])
        left, top = (int(v) for v in low)
        right, bottom = (int(v) for v in np.ceil(high))
        if right <= left or bottom <= top:
            return None
        for found in self._detect(image, (left, top, right - left, bottom - top), self._min_score):
            middle = found.box[:2] + found.box[2:] / 2 - detection.box[:2]
            if (middle > 0).all() and (middle < (width, height)).all():
                return found
        return None

    def _letterbox(self, image: Image) -> tuple[float, FloatArray]:
        """Fill the network's input; input pixel = image pixel * scale + offset."""
        height, width = image.shape[:2]
        scale = _SIDE / max(height, width)
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (_SIDE - new_width) // 2, (_SIDE - new_height) // 2
        # Linear to twice the size and then halved: nearly free of aliasing at a tenth of the price
        # of averaging every pixel.
        twice = cv2.resize(image, (2 * new_width, 2 * new_height))
        small = cv2.resize(twice, (new_width, new_height), interpolation=cv2.INTER_AREA)
        self._input.fill(-1.0)
        inner = self._input[0, top : top + new_height, left : left + new_width]
        np.multiply(small, np.float32(1 / 127.5), out=inner)
        inner -= 1
        return scale, np.array([left, top], np.float64)


def _merge(scores: FloatArray, points: FloatArray) -> list[tuple[float, FloatArray]]:
    """Weighted non-maximum suppression: the mean of what overlaps the best, then of the rest.

    ``scores`` [N]; ``points`` [N, M, 2], the first two the box's corners. As MediaPipe's
    NonMaxSuppressionCalculator with algorithm WEIGHTED.
    """
    merged = []
    left = np.argsort(-scores, kind="stable")
    areas = np.prod(points[:, 1] - points[:, 0], axis=1)
    while left.size:
        best = left[0]
        size = np.minimum(points[left, 1], points[best, 1]) - np.maximum(
            points[left, 0], points[best, 0]
        )
        shared = np.prod(np.maximum(size, 0), axis=1)
        overlap = shared / np.maximum(areas[left] + areas[best] - shared, 1e-9)
        same = overlap > _MAX_OVERLAP
        same[0] = True
        group = left[same]
        merged.append(
            (float(scores[best]), np.average(points[group], axis=0, weights=scores[group]))
        )
        left = left[~same]
    return merged
