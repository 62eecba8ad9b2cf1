"""478 landmarks of one face: the square to look at, and the attention mesh in it. Finds no face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.faces.detect import Detection
from face_perception.faces.landmarks import LEFT_OUTER_CANTHUS, RIGHT_OUTER_CANTHUS
from face_perception.inference import Model
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

SIDE = 192  # of the network's input
MARGIN = 1.5  # square / longer side of the face's box, as MediaPipe's face_landmark graphs


@dataclass(frozen=True)
class Square:
    """A rotated square of an image: centre and side in pixels, angle (radians, clockwise)."""

    x: float
    y: float
    side: float
    angle: float

    @property
    def to_image(self) -> FloatArray:
        """[2, 3]: pixels of the network's input to pixels of the image."""
        scale = self.side / SIDE
        c, s = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        half = SIDE / 2
        return np.array(
            [[c, -s, self.x - (c - s) * half], [s, c, self.y - (s + c) * half]], np.float64
        )


def square_of_detection(detection: Detection) -> Square:
    """Where to look for the mesh of a detected face."""
    x, y, width, height = (float(v) for v in detection.box)
    (x0, y0), (x1, y1) = detection.keypoints[0], detection.keypoints[1]
    angle = math.atan2(y1 - y0, x1 - x0)
    return Square(x + width / 2, y + height / 2, MARGIN * max(width, height), angle)


def square_of_landmarks(landmarks: FloatArray) -> Square:
    """Where to look for a face in the next image, from its landmarks [478, 3] in this one."""
    points = landmarks[:, :2]
    low, high = points.min(0), points.max(0)
    dx, dy = points[LEFT_OUTER_CANTHUS] - points[RIGHT_OUTER_CANTHUS]
    x, y = (low + high) / 2
    return Square(
        float(x), float(y), float(MARGIN * (high - low).max()), math.atan2(float(dy), float(dx))
    )


class Mesh:
    """The mesh network with its input. Not for use by two threads at once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._input = np.empty((1, SIDE, SIDE, 3), np.float32)
        self.patch: Image = np.empty((SIDE, SIDE, 3), np.uint8)  # what the network saw last

    def landmarks(self, image: Image, square: Square) -> tuple[FloatArray, float]:
        """Landmarks float32 [478, 3] in pixels of the image, and the probability of a face.

        ``image`` RGB uint8 [H, W, 3]. Outside the image its border is repeated.
        """
        to_image = square.to_image
        cv2.warpAffine(
            image,
            to_image,
            (SIDE, SIDE),
            dst=self.patch,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.multiply(self.patch, np.float32(1 / 255), out=self._input[0])
        output = self._model.infer({"image": self._input})
        points = np.asarray(output["landmarks"], np.float32).reshape(-1, 3)
        landmarks = np.empty_like(points)
        landmarks[:, :2] = points[:, :2] @ to_image[:, :2].T.astype(np.float32)
        landmarks[:, :2] += to_image[:, 2].astype(np.float32)
        landmarks[:, 2] = points[:, 2] * np.float32(square.side / SIDE)
        return landmarks, float(np.reshape(output["presence"], -1)[0])
