"""The framed face in centimetres of the average head: where its parts are. Moves nothing."""

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

# On the canonical face (see faces/crops.py), cm.
_CANTHI_CM = 8.89  # outer canthus to outer canthus
_EYES_TO_MOUTH_CM = 6.95

_PARTED_CM = 0.16  # a gap between the lips that is more than the mesh's noise
_SEAM_SEARCH_CM = 0.22


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A face's parts in the frame, and the frame of the face: ``(p - mouth) @ axes.T / cm``.

    - ``points`` [468, 2]: the mesh in pixels, without the iris_offset; ``depth`` [468]: pixels towards
      the viewer.
    - ``cm``: pixels in a centimetre of the average head; ``axes`` [2, 2]: its right (of the image)
      and down; ``mouth`` [2]: the middle of the mouth.
    - ``half_mouth``: from the middle to a corner, cm.
    - ``upper_edge``, ``lower_edge`` [N, 2]: edges of the lips towards each other, from the image's
      left to its right, pixels. The same line where the lips are closed.
    - ``parted``: whether the picture shows the mouth open.
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
        """[..., 2] in the face's frame: cm to the image's right and down from the mouth."""
        return np.asarray((pixels - self.mouth) @ self.axes.T / self.cm)

    def to_pixels(self, local: FloatArray) -> FloatArray:
        """Inverse of ``local``."""
        return np.asarray(local @ self.axes * self.cm + self.mouth)


def measure_anatomy(image: Image, landmarks: FloatArray) -> Anatomy:
    """The anatomy of a face with landmarks [478, 3] in an RGB image."""
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
    # In the corners the lips meet.
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
    """[number, 2] on a smooth curve through ``points`` [N, 2] (Catmull-Rom, ends as they are)."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    at = np.linspace(0, len(points) - 1, number)
    i = np.minimum(at.astype(int), len(points) - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return np.asarray(
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    )


def _seam(image: Image, line: FloatArray, axes: FloatArray, cm: float) -> FloatArray:
    """The dark line between closed lips near ``line`` [N, 2]: where the picture is darkest."""
    gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), max(0.6, 0.04 * cm))
    steps = np.linspace(-_SEAM_SEARCH_CM, _SEAM_SEARCH_CM, 23)
    probes = (line[:, None] + steps[None, :, None] * axes[1] * cm).astype(np.float32)
    dark = cv2.remap(gray, probes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Far from the landmarks it has to be darker.
    cost = dark.astype(np.float64) + 40 * (steps / _SEAM_SEARCH_CM) ** 2
    shift = steps[np.argmin(cost, axis=1)]
    shift = np.convolve(np.pad(shift, 2, mode="edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
    return np.asarray(line + shift[:, None] * axes[1] * cm)
