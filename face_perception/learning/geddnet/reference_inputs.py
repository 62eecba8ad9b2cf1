"""Crops of the two sample photographs: the inputs on which variants of a gaze model are compared.

The corners of the eyes are constants here, so that no other network is needed. Crops of the running
node are made in ``face_perception.gaze``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.inference import ModelError, sample_photo
from face_perception.learning.geddnet.network import EYE_SIZE, FACE_SIZE

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

# x, y in pixels of the photograph: outer and inner corner of the person's right eye, inner and
# outer corner of the left eye.
CORNERS = {
    "astronaut": ((194.7, 100.5), (213.2, 103.5), (236.2, 104.8), (255.7, 104.2)),
    "grace_hopper": ((203.6, 193.4), (241.8, 194.1), (288.1, 192.6), (323.9, 188.5)),
}

# In the published crops of a face the centres of the eyes are 32 pixels apart and 43 below the
# upper edge; in those of an eye its corners are 67.2 pixels apart. Each crop is equalised with a
# border that is then cut off.
_BETWEEN_EYES, _EYES_AT = 32.0, (47.5, 43.0)
_BETWEEN_CORNERS, _EYE_AT = 67.2, (47.5, 36.5)
_FACE_BORDER, _EYE_BORDER = (12, 12), (8, 12)  # rows, columns

# Rotation (radians) and scale of each sample.
_VIEWS = ((0.0, 1.0), (0.12, 0.93), (-0.2, 1.1))


def sample_inputs() -> dict[str, npt.NDArray[Any]]:
    """Returns the network's inputs [12, 1, height, width] by name, float32, 0 to 255.

    They show two faces, original and mirrored, in three views. Raises ModelError if the photographs
    are not installed.
    """
    samples = []
    for name, corners in CORNERS.items():
        path = sample_photo(name)
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if gray is None:
            raise ModelError(
                f"{path} cannot be read as a picture: check the installation of OpenCV"
            )
        points = np.array(corners)
        mirrored = points[::-1] * (-1, 1) + (gray.shape[1] - 1, 0)
        for image, eyes in ((gray, points), (gray[:, ::-1].copy(), mirrored)):
            samples += [_crops(image, eyes, turn, scale) for turn, scale in _VIEWS]
    names = ("face", "left_eye", "right_eye")
    return {
        name: np.stack([sample[k] for sample in samples])[:, None].astype(np.float32)
        for k, name in enumerate(names)
    }


def _crops(image: Image, corners: Points, turn: float, scale: float) -> tuple[Image, Image, Image]:
    right, left = corners[:2], corners[2:]
    centres = np.stack([right.mean(0), left.mean(0)])
    return (
        _crop(image, centres, _BETWEEN_EYES * scale, _EYES_AT, FACE_SIZE, _FACE_BORDER, turn),
        _crop(image, left, _BETWEEN_CORNERS * scale, _EYE_AT, EYE_SIZE, _EYE_BORDER, turn),
        _crop(image, right, _BETWEEN_CORNERS * scale, _EYE_AT, EYE_SIZE, _EYE_BORDER, turn),
    )


def _crop(
    image: Image,
    ends: Points,
    length: float,
    middle: tuple[float, float],
    size: tuple[int, int],
    border: tuple[int, int],
    turn: float,
) -> Image:
    """Returns the crop in which the line between two points has ``length`` pixels.

    Its midpoint is at ``middle`` (x, y), and its angle is ``turn``, radians.
    """
    (height, width), (rows, columns) = size, border
    along = ends[1] - ends[0]
    factor = length / np.linalg.norm(along)
    angle = turn - np.arctan2(along[1], along[0])
    matrix = np.zeros((2, 3))
    matrix[:, :2] = factor * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    matrix[:, 2] = np.add(middle, (columns, rows)) - matrix[:, :2] @ ends.mean(0)
    whole = (width + 2 * columns, height + 2 * rows)
    patch = cv2.warpAffine(
        image, matrix, whole, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    equalised: Image = cv2.equalizeHist(patch)[rows:-rows, columns:-columns]
    return equalised
