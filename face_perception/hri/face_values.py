"""What REP-155 publishes about a face, as plain numbers: box, landmarks, FACS, expression."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from face_perception.faces import LEFT_IRIS_CENTRE, POINTS_68, RIGHT_IRIS_CENTRE
from face_perception.types import (
    ActionUnits,
    Camera,
    Expression,
    Face,
    FloatArray,
    ValenceArousal,
)

# Our landmark for each of the 70 of hri_msgs/FacialLandmarks: the 68 points of iBUG 300-W in their
# order, then the right and the left pupil.
LANDMARKS_70 = np.array([*POINTS_68, RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE], np.intp)
LANDMARKS_70.setflags(write=False)
UNIT_COUNT = 99  # FACS codes of hri_msgs/FacialActionUnits, from 0 on


def normalized_roi(face: Face, camera: Camera) -> tuple[float, float, float, float]:
    """Returns left, top, right and bottom of the box of a face, in [0, 1] of the image."""
    roi = face.roi
    return (
        roi.x / camera.width,
        roi.y / camera.height,
        (roi.x + roi.width) / camera.width,
        (roi.y + roi.height) / camera.height,
    )


def landmarks_70(face: Face, camera: Camera) -> FloatArray | None:
    """Returns the 70 landmarks of REP-155, [70, 3]: x and y in [0, 1] of the image, confidence.

    (0, 0) is the corner of the top left pixel, not its centre. A landmark outside the image is
    moved to its edge, because the message allows no other place, and gets confidence 0. Returns
    None if the face has no landmarks.
    """
    pixels = face.landmarks[LANDMARKS_70, :2].astype(np.float64)
    if not np.isfinite(pixels).all():
        return None
    places = (pixels + 0.5) / (camera.width, camera.height)
    found = np.empty((len(places), 3))
    inside = np.minimum(np.maximum(places, 0.0), 1.0, out=found[:, :2])
    same = places == inside
    found[:, 2] = np.where(same[:, 0] & same[:, 1], face.confidence, 0.0)
    return found


def facs(estimates: Iterable[ActionUnits]) -> FloatArray:
    """Returns intensity and confidence of each action unit, [2, 99] by FACS code, in [0, 1].

    The intensity of a network that estimates only presence is the probability of presence. If
    several of the ``estimates`` have a unit, the most confident one counts. A unit that is not
    estimated has intensity 0 and confidence 0.
    """
    out = np.zeros((2, UNIT_COUNT))
    for estimate in estimates:
        for code, unit in estimate.units.items():
            intensity = unit.probability if math.isnan(unit.intensity) else unit.intensity
            known = math.isfinite(intensity) and 0 <= code < UNIT_COUNT
            if known and unit.confidence > out[1, code]:
                out[:, code] = intensity, unit.confidence
    return out


@dataclass(frozen=True, slots=True)
class SeenExpression:
    """An expression of REP-155: category (empty: unknown), VA (NaN: unknown), confidence."""

    category: str
    valence: float
    arousal: float
    confidence: float


def seen_expression(expression: Expression, affect: ValenceArousal | None = None) -> SeenExpression:
    """Returns an expression of REP-155 from our two estimates of one face.

    The names of our classes are those of hri_msgs/Expression. ``confidence`` is that of the
    category, or of valence and arousal if there is no category.
    """
    confidence = expression.confidence
    if affect is not None and not expression.label:
        confidence = affect.confidence
    return SeenExpression(
        category=expression.label,
        valence=math.nan if affect is None else affect.valence,
        arousal=math.nan if affect is None else affect.arousal,
        confidence=confidence if confidence > 0 else 0.0,
    )
