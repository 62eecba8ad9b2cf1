"""Compares the face mesh with the detection, to refuse a mesh on what is not an upright face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.faces.detector import Detection
from face_perception.faces.landmarks import (
    LEFT_INNER_CANTHUS,
    LEFT_OUTER_CANTHUS,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE_TIP,
    RIGHT_INNER_CANTHUS,
    RIGHT_OUTER_CANTHUS,
)
from face_perception.faces.mesh import bounds
from face_perception.geometry import smoothstep

FloatArray = npt.NDArray[np.floating]

# Mean distance, in face sizes, between the eyes, nose and mouth of a detection and those of the
# mesh. Below the first value they agree (half of 300 close-ups are below 0.035, 95 % below 0.055).
# Above the second, one of them is wrong or there is no face.
_AGREE, _DISAGREE = 0.06, 0.2


def mesh_certainty(detection: Detection, landmarks: FloatArray) -> float:
    """Returns the certainty, in [0, 1], that the landmarks [478, 3] are on a face.

    It is the score of the detection, reduced if its eyes, nose and mouth are not those of the mesh:
    it is 0 for an upright mesh on an upside-down face. The presence that the mesh network returns
    is not used, because it is 1.0 on most false detections.
    """
    left, top, right, bottom = bounds(landmarks)
    apart = mesh_distance(detection, landmarks) / max(right - left, bottom - top, 1e-6)
    return detection.score * float(1 - smoothstep(apart, _AGREE, _DISAGREE))


def mesh_distance(detection: Detection, landmarks: FloatArray) -> float:
    """Returns the mean distance, pixels, of eyes, nose and mouth between detection and mesh."""
    points = landmarks[:, :2]
    expected = np.stack(
        [
            (points[RIGHT_OUTER_CANTHUS] + points[RIGHT_INNER_CANTHUS]) / 2,
            (points[LEFT_OUTER_CANTHUS] + points[LEFT_INNER_CANTHUS]) / 2,
            points[NOSE_TIP],
            (points[MOUTH_RIGHT] + points[MOUTH_LEFT]) / 2,
        ]
    )
    return float(np.linalg.norm(detection.keypoints[:4] - expected, axis=1).mean())
