"""Measures distances between the parts of a face, turned into a frontal view."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from face_perception import faces
from face_perception.errors import InputError
from face_perception.geometry import all_finite
from face_perception.types import BLENDSHAPES, Blendshapes, Face, FloatArray, HeadPose

_SUBNASALE = 2  # where the nose meets the upper lip
_INNER_CANTHI = (faces.RIGHT_INNER_CANTHUS, faces.LEFT_INNER_CANTHUS)
_OUTER_CANTHI = (faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS)
_CORNERS = (faces.MOUTH_RIGHT, faces.MOUTH_LEFT)
_BROWS = (
    *(faces.RIGHT_BROW_UPPER, faces.RIGHT_BROW_LOWER),
    *(faces.LEFT_BROW_UPPER, faces.LEFT_BROW_LOWER),
)
# Ends of the brows, whose points run from the temple to the nose.
_INNER_BROWS = tuple(int(brow[-1]) for brow in _BROWS)
_OUTER_BROWS = tuple(int(point) for brow in _BROWS for point in brow[:2])
_BROW_GAP = (_INNER_BROWS[1], _INNER_BROWS[3])
# The middle three of a lid's nine points, and the middle one of a lip's eleven.
_UPPER_LIDS = tuple(
    int(point) for lid in (faces.RIGHT_EYE_UPPER, faces.LEFT_EYE_UPPER) for point in lid[3:6]
)
_UPPER_LIP, _LOWER_LIP = int(faces.LIPS_INNER_UPPER[5]), int(faces.LIPS_INNER_LOWER[5])
_MEASURED = np.array(
    sorted(
        {
            *(_SUBNASALE, faces.CHIN, _UPPER_LIP, _LOWER_LIP),
            *(*_INNER_CANTHI, *_OUTER_CANTHI, *_CORNERS),
            *(*_INNER_BROWS, *_OUTER_BROWS, *_UPPER_LIDS),
        }
    )
)
_BROWS_DOWN = [BLENDSHAPES.index(name) for name in ("browDownLeft", "browDownRight")]
_CHIN_RAISE = BLENDSHAPES.index("mouthShrugLower")
# Action units whose appearance is a measure.
APPEARANCE_UNITS = (1, 2, 4, 6, 9, 15, 20, 26)
MOUTH_MEASURES = ("corner_lift", "mouth_width", "mouth_opening", "jaw", "chin_raise")
_HALF_SIZE = 40.0  # pixels between the outer canthi at which the confidence is halved


class FaceMeasures(NamedTuple):
    """Holds measures of a face in frontal view, two blendshapes, and the appearance of units.

    The unit of the measures is the distance between the outer canthi. Blendshapes are 0 to 1, NaN
    if not estimated. The appearance of an action unit is what ``AppearanceNet`` sees of it in the
    image: 0 on most neutral faces, 1 if it is strong, NaN if not estimated.

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
    appearance_1: float = math.nan
    appearance_2: float = math.nan
    appearance_4: float = math.nan
    appearance_6: float = math.nan
    appearance_9: float = math.nan
    appearance_15: float = math.nan
    appearance_20: float = math.nan
    appearance_26: float = math.nan


def measure_landmarks(landmarks: FloatArray, pose: HeadPose) -> FaceMeasures | None:
    """Returns the measures of ``landmarks`` [478, 3] (pixels), turned into a frontal view.

    Returns None if landmarks or pose are not finite, or if the outer canthi coincide.
    """
    if not (np.isfinite(landmarks).all() and all_finite(pose.rotation)):
        return None
    # Only distances are measured, so the middle of the turned points does not matter.
    points = faces.rotate_to_frontal(landmarks[_MEASURED], pose).tolist()
    # Plain floats, because numpy is several times slower for so few numbers.
    point = dict(zip(_MEASURED.tolist(), points, strict=True))
    size = _apart(point[faces.RIGHT_OUTER_CANTHUS], point[faces.LEFT_OUTER_CANTHUS])
    if not size > 0:
        return None

    def height(indices: Sequence[int]) -> float:
        total: float = sum(point[index][1] for index in indices)
        return total / len(indices) / size

    def distance(a: int, b: int) -> float:
        return _apart(point[a], point[b]) / size

    inner_canthi, outer_canthi = height(_INNER_CANTHI), height(_OUTER_CANTHI)
    # Weight the upper lip more: the lower one also moves with the jaw.
    middle = 0.75 * height([_UPPER_LIP]) + 0.25 * height([_LOWER_LIP])
    return FaceMeasures(
        inner_brow=height(_INNER_BROWS) - inner_canthi,
        outer_brow=height(_OUTER_BROWS) - outer_canthi,
        brow_gap=distance(*_BROW_GAP),
        upper_lid=height(_UPPER_LIDS) - (inner_canthi + outer_canthi) / 2,
        corner_lift=height(_CORNERS) - middle,
        mouth_width=distance(*_CORNERS),
        mouth_opening=distance(_UPPER_LIP, _LOWER_LIP),
        jaw=math.dist(point[faces.CHIN], point[_SUBNASALE]) / size,
    )


def _apart(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the distance between two points [3] in the frontal view, without their depth."""
    return math.hypot(a[0] - b[0], a[1] - b[1])


def measure_face(
    face: Face,
    blendshapes: Blendshapes | None = None,
    appearance: Mapping[int, float] | None = None,
    *,
    mouth_seen: bool = True,
) -> FaceMeasures | None:
    """Returns the measures of a face, including those of ``blendshapes`` and ``appearance``.

    ``appearance`` is by action unit, as ``AppearanceNet`` estimates it; units that are not among
    ``APPEARANCE_UNITS`` are ignored. If the mouth is not seen, its measures are NaN, and so is the
    appearance, which comes from the whole face. Returns None if the face cannot be measured, for
    example without a head pose.
    """
    features = None if face.pose is None else measure_landmarks(face.landmarks, face.pose)
    if features is None:
        return None
    more: dict[str, float] = {}
    if blendshapes is not None:
        strength = blendshapes.strength
        more["brow_down"] = float(strength[_BROWS_DOWN].mean())
        more["chin_raise"] = float(strength[_CHIN_RAISE])
    seen = (appearance or {}) if mouth_seen else {}
    for code in APPEARANCE_UNITS:
        more[appearance_measure(code)] = seen.get(code, math.nan)
    if not mouth_seen:
        more.update(dict.fromkeys(MOUTH_MEASURES, math.nan))
    return features._replace(**more)


def appearance_measure(code: int) -> str:
    """Returns the name of the measure that is the appearance of an action unit."""
    return f"appearance_{code}"


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
    (fx, fy, fz), (x, y, z) = pose.rotation[:, 0].tolist(), pose.position.tolist()
    distance = math.hypot(x, y, z) or math.nan
    cosine = -(fx * x + fy * y + fz * z) / distance
    return max(0.0, cosine) if math.isfinite(cosine) else 0.0


def visibility(face: Face) -> float:
    """Returns how well the parts of a face can be seen, 0 to 1.

    This is the confidence of the face, reduced if the face is turned (0 at 90 degrees and without a
    pose) or small (half at 40 pixels between the outer canthi).
    """
    right, left = (face.landmarks[corner].tolist() for corner in _OUTER_CANTHI)
    area = math.dist(right, left) ** 2
    size = area / (area + _HALF_SIZE * _HALF_SIZE)
    return face.confidence * size * (0.0 if face.pose is None else frontal_cosine(face.pose))
