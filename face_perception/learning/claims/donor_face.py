"""Puts pictures of other people's eyes into one face, the donor's.

The tracker must find a face first, so it cannot run on pictures that show only eyes.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.faces import (
    LEFT_OUTER_CANTHUS,
    RIGHT_OUTER_CANTHUS,
    FaceTracker,
    Square,
    square_of_landmarks,
)
from face_perception.types import Camera, Face, FloatArray, Frame, Image

Gray = npt.NDArray[np.float32]

# The donor's picture: outer canthi this many pixels apart, at this place.
_APART, _WIDTH, _HEIGHT = 190.0, 640, 720
_EYES = np.array([(_WIDTH - 1) / 2, 0.4 * _HEIGHT])
# The part of a composite around the eyes that is kept, in distances between the outer canthi.
_ASIDE, _ABOVE, _BELOW = 1.75, 1.45, 2.1
_FEATHER = 0.07  # of the band's width
# Focal length in distances of the outer canthi: they are 89 mm apart and 2 m away.
_FOCAL = 2.0 / 0.089


def outer_canthi(face: Face) -> tuple[FloatArray, FloatArray]:
    """Returns the outer corners of the person's right and left eye: image left, image right; pixels
    [2].
    """
    points = np.asarray(face.landmarks[[RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS], :2], np.float64)
    return points[0], points[1]


def largest(tracker: FaceTracker, image: Image) -> Face | None:
    """Returns the widest face of a still."""
    height, width = image.shape[:2]
    frame = Frame(np.ascontiguousarray(image), 0.0, Camera.assume(width, height))
    return max(tracker.detect(frame), key=lambda face: face.roi.width, default=None)


class Donor:
    """The face of ``picture`` RGB, as a gray picture of known scale.

    It is made symmetric: the mean of the face and its mirror image. A donor who is not symmetric
    moves the gaze of the others to one side. With the default donor as he is, looks of 12 people at
    the lens and their mirror images were read 1.7 degrees (standard error 0.3) to the same side of
    the picture; with the symmetric one, -0.1 (0.1).

    Raises InputError if the picture has no face.
    """

    def __init__(self, picture: Image, tracker: FaceTracker) -> None:
        # A margin helps to find a face that fills the picture.
        height, width = picture.shape[:2]
        padded = cv2.copyMakeBorder(
            picture, height // 2, height // 2, width // 2, width // 2, cv2.BORDER_REPLICATE
        )
        face = largest(tracker, padded)
        if face is None:
            raise InputError("the donor's picture has no face: give a frontal photograph")
        gray = cv2.cvtColor(padded, cv2.COLOR_RGB2GRAY)
        level = cv2.warpAffine(
            gray,
            _similarity(*outer_canthi(face), _EYES, _APART),
            (_WIDTH, _HEIGHT),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ).astype(np.float32)
        self._face: Gray = (level + level[:, ::-1]) / 2
        right, left = outer_canthi(face)
        square = square_of_landmarks(face.landmarks)
        apart = float(np.linalg.norm(left - right))
        self._side = square.side / apart
        self._below = float(np.linalg.norm((square.x, square.y) - (right + left) / 2)) / apart

    def square(self, right: FloatArray, left: FloatArray) -> Square:
        """Returns where the mesh finds the donor's face with these outer canthi in a composite."""
        across = left - right
        x, y = (right + left) / 2 + self._below * np.array([-across[1], across[0]])
        side = self._side * float(np.linalg.norm(across))
        return Square(float(x), float(y), side, math.atan2(across[1], across[0]))

    def with_band(
        self, band: Gray, right: FloatArray, left: FloatArray
    ) -> tuple[Image, FloatArray]:
        """Returns the face with ``band`` [H, W] over its eyes, and the place of the band's (0, 0)
        in it.

        ``right`` and ``left`` are the outer canthi in the band (image left, image right). The band
        keeps its pixels. The face is scaled and rotated to fit, matched to the band's tone along
        the seam, and blended with it. RGB uint8.
        """
        apart = float(np.linalg.norm(left - right))
        middle = (right + left) / 2
        ends = np.array(band.shape[::-1])
        low = np.minimum(np.floor(middle - np.array([_ASIDE, _ABOVE]) * apart), -1).astype(int)
        high = np.maximum(np.ceil(middle + np.array([_ASIDE, _BELOW]) * apart), ends).astype(int)
        width, height = high - low
        back = cv2.invertAffineTransform(_similarity(right - low, left - low, _EYES, _APART))
        face = cv2.warpAffine(
            self._face,
            back,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # Blending happens only within the band; the whole face is matched to the band's tone.
        here = tuple(slice(-start, -start + end) for start, end in zip(low, ends, strict=True))[
            ::-1
        ]
        share = _feathered(band.shape)
        seam = (share > 0.02) & (share < 0.98)
        under, over = face[here][seam], band[seam]
        contrast = float(np.clip(over.std() / max(under.std(), 1.0), 0.5, 1.8))
        face = np.clip((face - under.mean()) * contrast + over.mean(), 0, 255)
        face[here] = face[here] * (1 - share) + band * share
        gray = np.clip(face, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(gray[..., None], 3, axis=2)), (-low).astype(float)


def camera_of(image: Image, right: FloatArray, left: FloatArray) -> Camera:
    """Returns the camera of a composite, 2 m away, whose axis passes between the outer canthi.

    ``right`` and ``left`` [2] are the outer canthi in ``image``, pixels.
    """
    height, width = image.shape[:2]
    focal = _FOCAL * float(np.linalg.norm(left - right))
    x, y = ((right + left) / 2).tolist()
    return Camera(width, height, focal, focal, x, y)


def _similarity(right: FloatArray, left: FloatArray, to: FloatArray, apart: float) -> FloatArray:
    """Returns the similarity [2, 3] that moves two points level, ``apart`` pixels apart, with
    middle ``to``.
    """
    across = left - right
    scale = apart / float(np.linalg.norm(across))
    angle = math.atan2(across[1], across[0])
    turn = scale * np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    return np.column_stack([turn, to - turn @ ((right + left) / 2)])


def _feathered(band: tuple[int, ...]) -> Gray:
    """Returns the weight of the band at each pixel: 1 inside, falling to 0 before its border."""
    height, width = band
    side = max(9, int(_FEATHER * width)) | 1
    rim = 3 + side // 2
    inside = np.zeros((height, width), np.float32)
    inside[rim : height - rim, rim : width - rim] = 1
    return np.asarray(
        cv2.GaussianBlur(inside, (side, side), side / 3, borderType=cv2.BORDER_CONSTANT),
        np.float32,
    )
