"""Decides whether a look at a face is good enough to recognise it, or to enrol it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from face_perception.faces import check_crop
from face_perception.types import Camera, Face, FaceCrop, Image

# Reasons why a look is not used.
NO_CROP = "no picture of the face"
NO_LANDMARKS = "no landmarks"
SMALL = "too small"
TURNED = "turned away"
CUT_OFF = "partly outside the image"
UNCLEAR = "not clearly a face"
BLURRED = "blurred"
DARK = "too dark or too bright"

_SIDE = 64  # pixels at which sharpness is measured, so that near and far faces are alike
_LIGHT = (25.0, 235.0)  # mean of the gray values
_CONTRAST = 10.0  # standard deviation of the gray values


@dataclass(frozen=True, slots=True)
class LookLimits:
    """What a look must have.

    - ``size``: width of the box round the landmarks, pixels.
    - ``turn``: largest angle between the face and the line to the camera, radians.
    - ``confidence``: certainty that it is a face.
    - ``sharpness``: see ``sharpness``.
    """

    size: float
    turn: float
    confidence: float
    sharpness: float


def look_problem(limits: LookLimits, camera: Camera, face: Face, crop: FaceCrop | None) -> str:
    """Returns the reason why a look is not used; empty if it is good.

    Raises InputError as ``faces.check_crop`` does.
    """
    if crop is None:
        return NO_CROP
    check_crop(crop)
    if not (np.isfinite(face.landmarks).all() and np.isfinite(crop.transform).all()):
        return NO_LANDMARKS
    if face.roi.width < limits.size:
        return SMALL
    if not face.confidence >= limits.confidence:
        return UNCLEAR
    if not angle_to_camera(face) <= limits.turn:
        return TURNED
    x, y = face.landmarks[:, 0], face.landmarks[:, 1]
    inside = (x >= -0.5) & (x <= camera.width - 0.5) & (y >= -0.5) & (y <= camera.height - 0.5)
    if not inside.all():
        return CUT_OFF
    gray = cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)
    border = len(gray) // 4
    middle = gray[border:-border, border:-border]
    if not _LIGHT[0] <= middle.mean() <= _LIGHT[1] or middle.std() < _CONTRAST:
        return DARK
    return BLURRED if sharpness(crop.image) < limits.sharpness else ""


def angle_to_camera(face: Face) -> float:
    """Returns the angle between the axis of a face and the line to the camera, radians.

    NaN if the head pose is not known.
    """
    if face.pose is None:
        return math.nan
    position = np.asarray(face.pose.position, np.float64)
    distance = float(np.linalg.norm(position))
    if not distance > 0:
        return math.nan
    cosine = float(face.pose.rotation[:, 0] @ -position) / distance
    return math.acos(max(-1.0, min(1.0, cosine)))


def sharpness(crop: Image) -> float:
    """Returns how sharp a crop of a face is: its fine detail as a share of its contrast.

    That is the standard deviation of the Laplacian over that of the gray values, of 64x64 pixels.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = float(small.std())
    return float(cv2.Laplacian(small, cv2.CV_32F).std()) / contrast if contrast > 0 else 0.0
