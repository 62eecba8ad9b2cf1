"""Measures the eyelids as a cue to vertical gaze: the upper lid follows the eye up and down.

On 56 people (Columbia Gaze) the upper lid moves by 3.5 mm per unit of vertical direction, more than
the iris of the mesh (2.7 mm), and the lower lid by 0.2 mm. An expression also moves the lower lid
and the brows, which distinguishes it from a look up or down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.types import Face, FloatArray

Indices = npt.NDArray[np.intp]

_MIDDLE = slice(3, 6)  # of the nine points of a lid, those that move most
# Changes of the lower lid and of the brow, in eye widths, that halve the effect of the upper lid.
# Between looks 10 degrees up and 10 degrees down they change by 0.01 and 0.03 (median of 56
# people).
_LOWER_LID, _BROW = 0.05, 0.12
# Eye widths. Looks move the upper lid by less, blinks and widened eyes by more.
_MAX_MOVED = 0.15


@dataclass(frozen=True, slots=True)
class LidCue:
    """Heights above the line through the canthi, in eye widths, mean of both eyes; NaN: not seen.

    ``upper`` and ``lower`` are the middles of the lids, ``brow`` is the inner end of the brow.

    >>> ahead, up = LidCue(upper=0.18, lower=-0.12, brow=0.6), LidCue(0.22, -0.12, 0.6)
    >>> round(up.moved_by_gaze(ahead), 3)  # only the upper lid has risen: a look up
    0.04
    >>> surprise = LidCue(upper=0.22, lower=-0.12, brow=0.75)  # the brow has risen as well
    >>> surprise.moved_by_gaze(ahead) < 0.02
    True
    """

    upper: float = math.nan
    lower: float = math.nan
    brow: float = math.nan

    def moved_by_gaze(self, reference: LidCue) -> float:
        """Returns how far a look has raised the upper lid above ``reference``, in eye widths.

        The value goes to 0 the more the lower lid or the brow have moved, because then an
        expression moves the lids. Returns 0 if a height is NaN.
        """
        moved = self.upper - reference.upper
        apart = ((self.lower - reference.lower) / _LOWER_LID) ** 2 + (
            (self.brow - reference.brow) / _BROW
        ) ** 2
        if not math.isfinite(moved + apart):
            return 0.0
        return max(-_MAX_MOVED, min(_MAX_MOVED, moved)) * float(0.5**apart)


def measure_lids(face: Face) -> LidCue:
    """Returns the heights of the lids of ``face``, its head rotated to frontal.

    Returns NaN if the pose is not known or a landmark is not finite.
    """
    if face.pose is None or not np.isfinite(face.landmarks).all():
        return LidCue()
    points = faces.rotate_to_frontal(face.landmarks, face.pose)[:, :2]
    both = np.mean([_heights(points, *side) for side in _SIDES], axis=0)
    return LidCue(*(float(v) for v in both))


_SIDES = (
    (
        faces.LEFT_OUTER_CANTHUS,
        faces.LEFT_INNER_CANTHUS,
        faces.LEFT_EYE_UPPER,
        faces.LEFT_EYE_LOWER,
        faces.LEFT_BROW_LOWER,
    ),
    (
        faces.RIGHT_OUTER_CANTHUS,
        faces.RIGHT_INNER_CANTHUS,
        faces.RIGHT_EYE_UPPER,
        faces.RIGHT_EYE_LOWER,
        faces.RIGHT_BROW_LOWER,
    ),
)


def _heights(
    points: FloatArray,
    outer: int,
    inner: int,
    upper: Indices,
    lower: Indices,
    brow: Indices,
) -> tuple[float, float, float]:
    """Returns the heights of upper lid, lower lid and brow of one eye, in eye widths.

    ``points`` [478, 2] has y up; the other arguments are indices into it.
    """
    along = points[inner] - points[outer]
    width = float(np.linalg.norm(along))
    if not width > 0:
        return math.nan, math.nan, math.nan
    up = np.array([-along[1], along[0]]) / width
    up = up if up[1] > 0 else -up
    middle = (points[outer] + points[inner]) / 2
    heights = [
        float((points[part].mean(0) - middle) @ up) / width
        for part in (upper[_MIDDLE], lower[_MIDDLE], brow[-2:])
    ]
    return heights[0], heights[1], heights[2]
