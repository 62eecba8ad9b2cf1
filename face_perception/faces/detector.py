"""Detects faces in an image: boxes and six keypoints, with the network BlazeFace (full range)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.inference import Model
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

# The network has one layer of stride 4, anchors of unit size and outputs in pixels of its input.
# Source: MediaPipe, modules/face_detection/face_detection_full_range.pbtxt and
# face_detection.pbtxt.
_SIDE = 192
_STRIDE = 4
_KEYPOINTS = 6
_MAX_OVERLAP = 0.3

# A face must be about 12 pixels wide in the input of the network: 40 pixels of an image 640 pixels
# wide, 120 of one 1920 wide. So larger images are also searched in windows, which overlap so that
# no small face lies across their borders. Larger faces are found in the whole image.
_MIN_WINDOW = 480  # side, pixels
_MAX_WINDOWS_A_SIDE = 3  # without overlap
_WINDOW_OVERLAP = 5  # windows overlap by 1 / 5

# Faces smaller than _LARGE of the image are detected again in a window of _CLOSE times their size.
# For them a score of _HINT times the minimum score is enough at first.
_LARGE = 0.25
_CLOSE = 3.0
_HINT = 0.7

# Sizes of windows that are larger than the image, in image sizes. The network misses faces that
# fill its input, but finds them in such windows. Of 300 close-ups (tightly cropped faces) it finds
# 32 in the image, 248 with the window of twice the size, and 290 with that of four times the size.
_NEAR = (2, 4)
# Smallest face in such a window, as a share of the image's longer side. Smaller faces are found in
# the image itself; smaller detections in the window are false.
_FILLS = 0.4

Window = tuple[int, int, int, int]  # x, y, width, height, pixels; may extend beyond the image


@dataclass(frozen=True)
class SearchView:
    """The part of the image that one search covers, and the rotation of the faces it looks for.

    ``window`` None is the whole image. ``turns`` is the rotation of the faces in quarter turns,
    clockwise in the image: 2 for faces that are upside down.
    """

    window: Window | None = None
    turns: int = 0


@dataclass(frozen=True)
class Detection:
    """A detected face: ``box`` [4] (x, y, width, height) and ``keypoints`` [6, 2], pixels.

    The keypoints are right eye, left eye, tip of the nose, middle of the mouth, right ear and left
    ear. ``score`` is in [0, 1].
    """

    score: float
    box: FloatArray
    keypoints: FloatArray

    @property
    def turns(self) -> int:
        """Roll of the face in quarter turns, clockwise in the image, rounded: 0 to 3."""
        dx, dy = self.keypoints[1] - self.keypoints[0]
        return round(math.atan2(dy, dx) / (math.pi / 2)) % 4


def small_face_windows(width: int, height: int) -> list[Window]:
    """Returns overlapping windows in which to detect small faces; none for a small image."""
    side = max(_MIN_WINDOW, max(width, height) // _MAX_WINDOWS_A_SIDE)
    if side >= max(width, height):
        return []
    columns, rows = _spread(width, side), _spread(height, side)
    return [(x, y, min(side, width), min(side, height)) for y in rows for x in columns]


def close_up_windows(width: int, height: int) -> list[Window]:
    """Returns windows larger than the image, in which to detect faces that fill it."""
    return [
        (-width * (times - 1) // 2, -height * (times - 1) // 2, width * times, height * times)
        for times in _NEAR
    ]


def _spread(length: int, side: int) -> list[int]:
    """Returns where windows start along a side of the image, so that they cover it evenly."""
    free = length - side
    if free <= 0:
        return [0]
    steps = math.ceil(free / (side - side // _WINDOW_OVERLAP))
    return [round(free * i / steps) for i in range(steps + 1)]


WHOLE_IMAGE = SearchView()


class Detector:
    """Detects the faces of an image. Do not use it in two threads at the same time.

    ``min_score`` is the lowest score of a face. Raises InputError if it is not in [0, 1].
    """

    def __init__(self, model: Model, min_score: float = 0.6) -> None:
        if not 0 <= min_score <= 1:
            raise InputError(f"min_score of the face detector must be in [0, 1], not {min_score}")
        self._model = model
        self.min_score = min_score
        cells = _SIDE // _STRIDE
        rows, columns = np.divmod(np.arange(cells * cells), cells)
        self._anchors = (np.stack([columns, rows], 1) + 0.5) * _STRIDE
        self._input = np.empty((1, _SIDE, _SIDE, 3), np.float32)

    def detect(self, image: Image, view: SearchView = WHOLE_IMAGE) -> list[Detection]:
        """Returns the faces in one ``view`` of an image, RGB uint8 [H, W, 3], best score first.

        Small faces may have a score below the minimum; ``detect_again`` confirms or rejects them.
        A window that is larger than the image only returns faces that fill much of the image.
        """
        longest = max(image.shape[:2])
        window = view.window
        if window is not None and max(window[2:]) > longest:
            found = self._detect(image, view, self.min_score)
            return [face for face in found if max(face.box[2:]) >= _FILLS * longest]
        large = _LARGE * (max(window[2:]) if window else longest)
        return [
            face
            for face in self._detect(image, view, _HINT * self.min_score)
            if face.score >= self.min_score or max(face.box[2:]) <= large
        ]

    def _detect(self, image: Image, view: SearchView, min_score: float) -> list[Detection]:
        x, y, width, height = view.window or (0, 0, image.shape[1], image.shape[0])
        scale, offset = self._letterbox(image, (x, y, width, height))
        if view.turns:
            self._input[0] = np.rot90(self._input[0], view.turns).copy()
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
            pixels = (_turned_back(merged, view.turns) - offset) / scale + (x, y)
            low, high = pixels[:2].min(axis=0), pixels[:2].max(axis=0)
            if (merged[1] > merged[0]).all():
                found.append(Detection(score, np.concatenate([low, high - low]), pixels[2:]))
        return found

    def detect_again(
        self, image: Image, detection: Detection, turns: int | None = None
    ) -> Detection | None:
        """Detects the same face again in a window of three times its size, for better keypoints.

        The keypoints of a face that is very small in the input of the network, or fills it, are too
        coarse to show its rotation. Small false detections are not found again.

        ``turns`` is the rotation of the face to look for, in quarter turns; None means that of
        ``detection``. If the face is not found again, returns None, or ``detection`` itself if it
        is large in the image and ``turns`` is None.
        """
        x, y, width, height = detection.box
        side = max(1, math.ceil(_CLOSE * max(width, height)))
        left = math.floor(x + width / 2 - side / 2)
        top = math.floor(y + height / 2 - side / 2)
        view = SearchView((left, top, side, side), detection.turns if turns is None else turns)
        for found in self._detect(image, view, self.min_score):
            middle = found.box[:2] + found.box[2:] / 2 - detection.box[:2]
            if (middle > 0).all() and (middle < (width, height)).all():
                return found
        large = max(width, height) > _LARGE * max(image.shape[:2])
        return detection if large and turns is None else None

    def _letterbox(self, image: Image, window: Window) -> tuple[float, FloatArray]:
        """Fills the network's input with a window; returns scale and offset [2].

        Pixel of the input = (pixel of the image - corner of the window) * scale + offset. The part
        of the window outside the image is gray, the part of the input outside the window is black.
        """
        x, y, width, height = window
        scale = _SIDE / max(height, width)
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (_SIDE - new_width) // 2, (_SIDE - new_height) // 2
        self._input.fill(-1.0)
        inner = self._input[0, top : top + new_height, left : left + new_width]
        low = max(x, 0), max(y, 0)
        high = min(x + width, image.shape[1]), min(y + height, image.shape[0])
        if low != (x, y) or high != (x + width, y + height):
            inner.fill(0.0)
            if low[0] >= high[0] or low[1] >= high[1]:
                return scale, np.array([left, top], np.float64)
            right, bottom = (
                math.ceil((end - start) * scale) for start, end in zip((x, y), high, strict=True)
            )
            inner = inner[round((low[1] - y) * scale) : bottom, round((low[0] - x) * scale) : right]
            if inner.size == 0:  # less than one pixel of the image is in the window
                return scale, np.array([left, top], np.float64)
            image = image[low[1] : high[1], low[0] : high[0]]
        else:
            image = image[y : y + height, x : x + width]
        # Resize linearly to twice the size, then halve by averaging. This has nearly no aliasing,
        # at a tenth of the cost of averaging all pixels.
        twice = cv2.resize(image, (2 * inner.shape[1], 2 * inner.shape[0]))
        small = cv2.resize(twice, inner.shape[1::-1], interpolation=cv2.INTER_AREA)
        np.multiply(small, np.float32(1 / 127.5), out=inner)
        inner -= 1
        return scale, np.array([left, top], np.float64)


def _turned_back(points: FloatArray, turns: int) -> FloatArray:
    """Returns points [N, 2] as they were before the input was rotated by ``np.rot90``."""
    for _ in range(turns):
        points = np.stack([_SIDE - points[:, 1], points[:, 0]], 1)
    return points


def _merge(scores: FloatArray, points: FloatArray) -> list[tuple[float, FloatArray]]:
    """Merges overlapping detections by weighted non-maximum suppression.

    ``scores`` is [N]. The first two ``points`` [N, M, 2] are the corners of the box. The detection
    with the best score and all that overlap it become their weighted mean. This repeats for the
    rest. Source: MediaPipe's NonMaxSuppressionCalculator with the algorithm WEIGHTED.
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
