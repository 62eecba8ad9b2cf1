"""Measures where the parts of a face are in a picture, in pixels and in centimetres.

Centimetres are those of an average head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

# Lip landmarks of the 478-point topology in rows from the skin to the opening, each from the
# person's right to left mouth corner; the outermost and innermost rows are named in ``faces``.
_UPPER_ROWS = np.array(
    [
        faces.LIPS_OUTER_UPPER,
        [76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306],
        [62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292],
        faces.LIPS_INNER_UPPER,
    ]
)
_LOWER_ROWS = np.array(
    [
        faces.LIPS_OUTER_LOWER,
        [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306],
        [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292],
        faces.LIPS_INNER_LOWER,
    ]
)
LIP_ROWS = (_UPPER_ROWS, _LOWER_ROWS)

# Sizes on the canonical face model (see faces/crops.py), cm.
_CANTHI_CM = 8.89  # outer canthus to outer canthus
_EYES_TO_MOUTH_CM = 6.95

_PARTED_CM = 0.16  # gap between the lips that exceeds the noise of the landmarks
_SEAM_SEARCH_CM = 0.22  # how far the line between the lips may be from the landmarks


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The parts of a face in a picture.

    The face frame has its origin at the middle of the mouth, x to the image's right and y down
    along the face, in centimetres: ``(p - mouth) @ axes.T / cm`` for a pixel ``p``.

    - ``points`` [468, 2]: the landmarks without the irises, pixels.
    - ``depth`` [468]: distance of the landmarks towards the viewer, pixels.
    - ``cm``: pixels per centimetre.
    - ``axes`` [2, 2]: unit vectors of the face frame's x and y in the picture.
    - ``mouth`` [2]: the middle of the mouth, pixels.
    - ``half_mouth``: distance from the middle to a corner of the mouth, cm.
    - ``upper_edge``, ``lower_edge`` [N, 2]: inner edges of the upper and lower lip, from the
      image's left to its right, pixels. Both are the same line if the lips are closed.
    - ``parted``: whether the mouth is open in the picture.

    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> (face,) = faces.load_tracker().detect(frame)
    >>> anatomy = measure_anatomy(frame.image, face.landmarks)
    >>> anatomy.parted, 5 < 2 * anatomy.half_mouth < 7  # a smile shows the teeth; width in cm
    (True, True)
    >>> corner = anatomy.mouth + anatomy.half_mouth * anatomy.cm * anatomy.axes[0]  # pixels
    >>> bool(np.allclose(anatomy.local(corner), [anatomy.half_mouth, 0]))  # cm
    True
    """

    points: FloatArray
    depth: FloatArray
    cm: float
    axes: FloatArray
    mouth: FloatArray
    half_mouth: float
    upper_edge: FloatArray
    lower_edge: FloatArray
    parted: bool

    def local(self, pixels: FloatArray) -> FloatArray:
        """Converts pixels [..., 2] to the face frame, cm [..., 2]."""
        return np.asarray((pixels - self.mouth) @ self.axes.T / self.cm)


def measure_anatomy(image: Image, landmarks: FloatArray) -> Anatomy:
    """Measures a face with landmarks [478, 3] (pixels) in an RGB image, uint8 [H, W, 3]."""
    points = landmarks[:468, :2].astype(np.float64)
    right_eye = points[[faces.RIGHT_OUTER_CANTHUS, faces.RIGHT_INNER_CANTHUS]].mean(0)
    left_eye = points[[faces.LEFT_OUTER_CANTHUS, faces.LEFT_INNER_CANTHUS]].mean(0)
    across = points[faces.LEFT_OUTER_CANTHUS] - points[faces.RIGHT_OUTER_CANTHUS]
    width = float(np.linalg.norm(across))
    right = across / width
    axes = np.array([right, [-right[1], right[0]]])
    mouth = points[[faces.MOUTH_LEFT, faces.MOUTH_RIGHT]].mean(0)
    height = float((mouth - (right_eye + left_eye) / 2) @ axes[1])
    cm = (width / _CANTHI_CM + height / _EYES_TO_MOUTH_CM) / 2
    upper, lower = points[_UPPER_ROWS[-1]], points[_LOWER_ROWS[-1]]
    gap = (lower - upper) @ axes[1] / cm
    parted = bool(np.sort(gap)[-3] > _PARTED_CM)
    if not parted:
        upper = lower = _seam(image, (upper + lower) / 2, axes, cm)
    upper, lower = smooth_curve(upper), smooth_curve(lower)
    # The lips meet in the corners of the mouth.
    for end in (0, -1):
        upper[end] = lower[end] = (upper[end] + lower[end]) / 2
    mouth = (upper[[0, -1]] + lower[[0, -1]]).mean(0) / 2
    middle = len(upper) // 2
    mouth = mouth + axes[1] * float(((upper + lower)[middle] / 2 - mouth) @ axes[1])
    half = float(np.linalg.norm(upper[-1] - upper[0])) / 2 / cm
    return Anatomy(
        points=points,
        depth=-landmarks[:468, 2].astype(np.float64),
        cm=cm,
        axes=axes,
        mouth=mouth,
        half_mouth=half,
        upper_edge=upper,
        lower_edge=lower,
        parted=parted,
    )


def smooth_curve(points: FloatArray, number: int = 41) -> FloatArray:
    """Returns [number, 2] points on a Catmull-Rom curve through ``points`` [N, 2]."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    at = np.linspace(0, len(points) - 1, number)
    i = np.minimum(at.astype(int), len(points) - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return np.asarray(
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    )


def _seam(image: Image, line: FloatArray, axes: FloatArray, cm: float) -> FloatArray:
    """Returns the dark line between closed lips near ``line``: both [N, 2], pixels."""
    gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), max(0.6, 0.04 * cm))
    steps = np.linspace(-_SEAM_SEARCH_CM, _SEAM_SEARCH_CM, 23)
    probes = (line[:, None] + steps[None, :, None] * axes[1] * cm).astype(np.float32)
    dark = cv2.remap(gray, probes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # The farther a pixel is from the landmarks, the darker it must be.
    cost = dark.astype(np.float64) + 40 * (steps / _SEAM_SEARCH_CM) ** 2
    shift = steps[np.argmin(cost, axis=1)]
    shift = np.convolve(np.pad(shift, 2, mode="edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
    return np.asarray(line + shift[:, None] * axes[1] * cm)
