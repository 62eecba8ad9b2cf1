"""Measures of a face's parts from its landmarks, and what they are on a face at rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from face_perception import faces
from face_perception.types import FloatArray, HeadPose

_SUBNASALE = 2  # where the nose meets the upper lip
_INNER, _OUTER = -1, slice(0, 2)  # of a brow's points, from the temple to the nose
_LIDS = slice(3, 6)  # the middle of a lid's nine points
_LIPS = 5  # the middle of the lips' eleven points


class Features(NamedTuple):
    """Measures in outer-canthus distances of the face seen from straight ahead."""

    inner_brow: float  # height above the inner canthi
    outer_brow: float  # height above the outer canthi
    brow_gap: float  # between the inner ends of the brows
    upper_lid: float  # height above the canthi
    corner_lift: float  # of the mouth's corners above the middle of the mouth
    mouth_width: float
    mouth_opening: float  # between the inner borders of the lips
    jaw: float  # from the nose's base to the chin


# Means and standard deviations between people of faces at rest: some fifteen photographs of ten
# people, turned less than 25 degrees.
POPULATION = Features(0.15, 0.138, 0.277, 0.048, 0.003, 0.575, 0.004, 0.81)
SPREAD = Features(0.02, 0.015, 0.015, 0.014, 0.017, 0.05, 0.008, 0.05)


def measure(landmarks: FloatArray, pose: HeadPose) -> Features | None:
    """Features of ``landmarks`` [478, 3] with the head turned back; None where they are no face."""
    if not (np.isfinite(landmarks).all() and np.isfinite(pose.rotation).all()):
        return None
    face = faces.unrotated(landmarks, pose)
    size = _distance(face, faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS)
    if not size > 0:
        return None
    face = face / size
    height = face[:, 1]
    inner_canthi = height[[faces.RIGHT_INNER_CANTHUS, faces.LEFT_INNER_CANTHUS]].mean()
    outer_canthi = height[[faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS]].mean()
    brows = np.array(
        [
            faces.RIGHT_BROW_UPPER,
            faces.RIGHT_BROW_LOWER,
            faces.LEFT_BROW_UPPER,
            faces.LEFT_BROW_LOWER,
        ]
    )
    lids = np.append(faces.RIGHT_EYE_UPPER[_LIDS], faces.LEFT_EYE_UPPER[_LIDS])
    upper, lower = faces.LIPS_INNER_UPPER[_LIPS], faces.LIPS_INNER_LOWER[_LIPS]
    # A dropping jaw takes the lower lip along: the corners are seen against the upper one, mostly.
    middle = 0.75 * height[upper] + 0.25 * height[lower]
    corners = height[[faces.MOUTH_RIGHT, faces.MOUTH_LEFT]].mean()
    return Features(
        inner_brow=float(height[brows[:, _INNER]].mean() - inner_canthi),
        outer_brow=float(height[brows[:, _OUTER]].mean() - outer_canthi),
        brow_gap=_distance(face, brows[1, _INNER], brows[3, _INNER]),
        upper_lid=float(height[lids].mean() - (inner_canthi + outer_canthi) / 2),
        corner_lift=float(corners - middle),
        mouth_width=_distance(face, faces.MOUTH_RIGHT, faces.MOUTH_LEFT),
        mouth_opening=_distance(face, upper, lower),
        jaw=float(np.linalg.norm(face[faces.CHIN] - face[_SUBNASALE])),
    )


def _distance(face: FloatArray, a: int, b: int) -> float:
    """As seen from straight ahead."""
    return float(np.linalg.norm(face[a, :2] - face[b, :2]))
