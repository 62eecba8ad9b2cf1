"""Measures distances between the parts of a face, turned into a frontal view."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from face_perception import faces
from face_perception.errors import InputError
from face_perception.types import BLENDSHAPES, Blendshapes, Face, FloatArray, HeadPose

_SUBNASALE = 2  # where the nose meets the upper lip
_INNER, _OUTER = -1, slice(0, 2)  # ends of a brow, whose points run from the temple to the nose
_LIDS = slice(3, 6)  # the middle three of a lid's nine points
_LIPS = 5  # the middle one of a lip's eleven points
_BROWS_DOWN = [BLENDSHAPES.index(name) for name in ("browDownLeft", "browDownRight")]
_CHIN_RAISE = BLENDSHAPES.index("mouthShrugLower")
_HALF_SIZE = 40.0  # pixels between the outer canthi at which the confidence is halved


class FaceMeasures(NamedTuple):
    """Holds measures of a face in frontal view and the strengths of two blendshapes.

    The unit of the measures is the distance between the outer canthi. Blendshapes are 0 to 1, NaN
    if not estimated.

    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> (face,) = load_tracker().detect(frame)
    >>> measures = measure_face(face)
    >>> measures.mouth_opening > 0.05, math.isnan(measures.brow_down)  # a smile; no blendshapes
    (True, True)
    """

    inner_brow: float  # height above the inner canthi
    outer_brow: float  # height above the outer canthi
    brow_gap: float  # between the inner ends of the brows
    upper_lid: float  # height above the canthi
    corner_lift: float  # of the mouth's corners above the middle of the mouth
    mouth_width: float
    mouth_opening: float  # between the inner borders of the lips
    jaw: float  # from the nose's base to the chin
    brow_down: float = math.nan  # mean of browDownLeft and browDownRight
    chin_raise: float = math.nan  # mouthShrugLower


def measure_landmarks(landmarks: FloatArray, pose: HeadPose) -> FaceMeasures | None:
    """Returns the measures of ``landmarks`` [478, 3] (pixels), turned into a frontal view.

    Returns None if landmarks or pose are not finite, or if the outer canthi coincide.
    """
    if not (np.isfinite(landmarks).all() and np.isfinite(pose.rotation).all()):
        return None
    face = faces.rotate_to_frontal(landmarks, pose)
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
    # Weight the upper lip more: the lower one also moves with the jaw.
    middle = 0.75 * height[upper] + 0.25 * height[lower]
    corners = height[[faces.MOUTH_RIGHT, faces.MOUTH_LEFT]].mean()
    return FaceMeasures(
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
    """Returns the distance between two points in the frontal view."""
    return float(np.linalg.norm(face[a, :2] - face[b, :2]))


def measure_face(face: Face, blendshapes: Blendshapes | None = None) -> FaceMeasures | None:
    """Returns the measures of a face, including those of ``blendshapes`` if given.

    Returns None if the face cannot be measured, for example without a head pose.
    """
    features = None if face.pose is None else measure_landmarks(face.landmarks, face.pose)
    if features is None or blendshapes is None:
        return features
    strength = blendshapes.strength
    return features._replace(
        brow_down=float(strength[_BROWS_DOWN].mean()), chin_raise=float(strength[_CHIN_RAISE])
    )


def median_measures(seen: Iterable[FaceMeasures | None]) -> FaceMeasures:
    """Returns the median of each measure over images of one neutral face.

    Ignores images in which the face could not be measured (None). Raises InputError if no image is
    left.
    """
    known = [features for features in seen if features is not None]
    if not known:
        raise InputError(
            "no face could be measured: give a picture of a neutral face that looks ahead"
        )
    return FaceMeasures(*(float(v) for v in np.median(known, axis=0)))


def frontal_cosine(pose: HeadPose) -> float:
    """Returns the cosine of the angle between the face's x axis and the line to the camera.

    The result is at least 0. It is 0 if the pose is not finite.
    """
    cosine = -float(pose.rotation[:, 0] @ pose.position) / float(np.linalg.norm(pose.position))
    return max(0.0, cosine) if math.isfinite(cosine) else 0.0


def visibility(face: Face) -> float:
    """Returns how well the parts of a face can be seen, 0 to 1.

    This is the confidence of the face, reduced if the face is turned (0 at 90 degrees and without a
    pose) or small (half at 40 pixels between the outer canthi).
    """
    corners = face.landmarks[[faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS]]
    area = float(((corners[0] - corners[1]) ** 2).sum())
    size = area / (area + _HALF_SIZE * _HALF_SIZE)
    return face.confidence * size * (0.0 if face.pose is None else frontal_cosine(face.pose))
