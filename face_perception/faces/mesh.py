"""Runs the mesh network on squares of the image and returns the 478 landmarks of each face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.faces.detector import Detection
from face_perception.faces.face_similarity import measure_appearance
from face_perception.faces.landmarks import LEFT_OUTER_CANTHUS, RIGHT_OUTER_CANTHUS
from face_perception.inference import Model
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

SIDE = 192  # of the network's input, pixels
MARGIN = 1.5  # side of the square / longer side of the face's box, as in MediaPipe's graphs


@dataclass(frozen=True)
class Square:
    """A rotated square in an image: centre and side in pixels, angle in radians, clockwise.

    >>> Square(x=100, y=80, side=40, angle=0).to_image(pixels=20) @ [0, 0, 1]  # its left top
    array([80., 60.])
    """

    x: float
    y: float
    side: float
    angle: float

    def to_image(self, pixels: float = SIDE) -> FloatArray:
        """Returns the affine map [2, 3] to the image from this square of ``pixels`` a side."""
        scale = self.side / pixels
        c, s = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        half = pixels / 2
        return np.array(
            [[c, -s, self.x - (c - s) * half], [s, c, self.y - (s + c) * half]], np.float64
        )


def square_of_detection(detection: Detection) -> Square:
    """Returns the square in which to find the landmarks of a detected face."""
    x, y, width, height = (float(v) for v in detection.box)
    (x0, y0), (x1, y1) = detection.keypoints[0], detection.keypoints[1]
    angle = math.atan2(y1 - y0, x1 - x0)
    return Square(x + width / 2, y + height / 2, MARGIN * max(width, height), angle)


def square_of_landmarks(landmarks: FloatArray) -> Square:
    """Returns the square in which to find a face in the next image.

    ``landmarks`` [478, 3] are those of the face in this image.
    """
    left, top, right, bottom = bounds(landmarks)
    x0, y0, _ = landmarks[RIGHT_OUTER_CANTHUS].tolist()
    x1, y1, _ = landmarks[LEFT_OUTER_CANTHUS].tolist()
    side = MARGIN * max(right - left, bottom - top)
    return Square((left + right) / 2, (top + bottom) / 2, side, math.atan2(y1 - y0, x1 - x0))


def bounds(landmarks: FloatArray) -> tuple[float, float, float, float]:
    """Returns left, top, right and bottom of landmarks [478, 3], pixels; NaN if one is NaN."""
    points = landmarks.T[:2].copy()  # numpy is ten times slower on rows of two
    (left, top), (right, bottom) = points.min(axis=1).tolist(), points.max(axis=1).tolist()
    return left, top, right, bottom


def turns_of(square: Square) -> int:
    """Returns the rotation of a square in quarter turns, clockwise in the image: 0 to 3."""
    return round(square.angle / (math.pi / 2)) % 4


@dataclass(frozen=True)
class MeshResult:
    """What the mesh network found in one square of an image.

    ``landmarks`` is float32 [478, 3], in pixels of the image, ``presence`` the probability of a
    face. The result must be used before the next call of the same ``Mesh``.

    >>> patch = np.zeros((SIDE, SIDE, 3), np.uint8)
    >>> nobody = MeshResult(np.zeros((478, 3), np.float32), 0.01, Square(96, 96, 192, 0), patch)
    >>> nobody.presence > 0.5
    False
    """

    landmarks: FloatArray
    presence: float
    square: Square
    patch: Image  # the square [SIDE, SIDE, 3], as the network saw it

    def appearance(self) -> FloatArray:
        """Returns the appearance [24, 24] of the face."""
        square = square_of_landmarks(self.landmarks)
        box = replace(square, side=square.side / MARGIN).to_image(1.0)
        from_image = cv2.invertAffineTransform(self.square.to_image())
        return measure_appearance(self.patch, _chained(from_image, box))


class Mesh:
    """Runs the mesh network. Do not use it in two threads at the same time.

    >>> import cv2
    >>> from face_perception.inference import load, sample_photo
    >>> image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    >>> found = Mesh(load("face_mesh")).find(image, Square(x=224, y=118, side=160, angle=0))
    >>> found.landmarks.shape, found.presence > 0.5
    ((478, 3), True)
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.batch_size = model.batch_size
        self._input = np.empty((self.batch_size, SIDE, SIDE, 3), np.float32)
        self._patches: Image = np.empty((0, SIDE, SIDE, 3), np.uint8)

    def find(self, image: Image, square: Square) -> MeshResult:
        """Returns what the network finds in one square, as ``find_all`` does."""
        return self.find_all(image, [square])[0]

    def find_all(self, image: Image, squares: Sequence[Square]) -> list[MeshResult]:
        """Returns what the network finds in each square, with ``batch_size`` squares in a call.

        ``image`` is RGB uint8 [H, W, 3]. Outside the image its border pixels are repeated.
        """
        if len(squares) > len(self._patches):
            self._patches = np.empty((len(squares), SIDE, SIDE, 3), np.uint8)
        patches = self._patches[: len(squares)]
        for square, patch in zip(squares, patches, strict=True):
            cv2.warpAffine(
                image,
                square.to_image(),
                (SIDE, SIDE),
                dst=patch,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        found = []
        for first in range(0, len(squares), self.batch_size):
            some = squares[first : first + self.batch_size]
            seen = patches[first : first + len(some)]
            images = self._input[: len(some)]
            np.multiply(seen, np.float32(1 / 255), out=images)
            output = self._model.infer({"image": images})
            points = np.asarray(output["landmarks"], np.float32).reshape(len(some), -1, 3)
            presences = np.reshape(output["presence"], -1).tolist()
            found += [
                MeshResult(_to_image(own, square), presence, square, patch)
                for own, presence, square, patch in zip(points, presences, some, seen, strict=True)
            ]
        return found


def _to_image(points: FloatArray, square: Square) -> FloatArray:
    """Returns landmarks in pixels of the image, from those in pixels of the network's input."""
    (a, b, x), (c, d, y) = square.to_image().tolist()
    # One product with a square matrix takes a quarter of the time of two columns at once.
    turn = np.array([[a, c, 0], [b, d, 0], [0, 0, square.side / SIDE]], np.float32)
    landmarks: FloatArray = points @ turn
    landmarks += np.array([x, y, 0], np.float32)
    return landmarks


def _chained(second: FloatArray, first: FloatArray) -> FloatArray:
    """Returns the affine map [2, 3] that applies ``first``, then ``second``."""
    linear = second[:, :2] @ first
    linear[:, 2] += second[:, 2]
    return linear
