"""One face with every estimate that the overlay can draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from face_perception.geometry import from_yaw_pitch
from face_perception.types import (
    ActionUnit,
    ActionUnits,
    Attention,
    Camera,
    Engagement,
    Expression,
    Face,
    Gaze,
    HeadPose,
    Roi,
    Target,
    ValenceArousal,
)

CAMERA = Camera.assume(640, 480)
FRONTAL = np.array(
    [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]]
)  # columns: the face's axes


def face(face_id: str = "face_1", x: float = 320, y: float = 200, size: float = 100) -> Face:
    """Returns a face whose landmarks are a disc with two irises."""
    angles = np.linspace(0, 40, 478)
    points = np.stack([np.cos(angles), np.sin(angles), np.zeros(478)], 1) * (size / 2)
    points[468:473] = [[-20, -15, 0], [-15, -15, 0], [-20, -20, 0], [-25, -15, 0], [-20, -10, 0]]
    points[473:478] = points[468:473] + np.array([40, 0, 0])
    points[:, :2] += (x, y)
    low = points.min(0).astype(int)
    pose = HeadPose(np.array([(x - 319.5) / 640, (y - 239.5) / 640, 1.0]), FRONTAL)
    roi = Roi(int(low[0]), int(low[1]), round(size), round(size))
    return Face(face_id, 0.9, roi, points.astype(np.float32), pose, 1.0, 1.0)


def gaze(face_id: str = "face_1", **more: Any) -> Gaze:
    fields: dict[str, Any] = {
        "origin": np.array([0.0, 0.0, 1.0]),
        "direction": from_yaw_pitch(0.6, 0.1),
        "confidence": 0.9,
        "valid": True,
        "source": "x",
    }
    return Gaze(face_id, **{**fields, **more})


def attention(face_id: str = "face_1", **more: Any) -> Attention:
    fields: dict[str, Any] = {
        "source": "x",
        "looking_at_robot": True,
        "angle": 0.1,
        "distance": 1.0,
        "target": Target.ROBOT,
        "target_id": "",
        "target_since": 0.0,
        "engagement": Engagement.ENGAGED,
        "engagement_since": 0.0,
    }
    return Attention(face_id, **{**fields, **more})


def everything(face_id: str = "face_1") -> dict[str, Any]:
    probability = np.array([0.05, 0.05, 0.05, 0.05, 0.7, 0.05, 0.05])
    return {
        "gazes": [gaze(face_id)],
        "action_units": [ActionUnits(face_id, "x", {12: ActionUnit(0.8), 4: ActionUnit()})],
        "expressions": [Expression(face_id, "x", probability)],
        "valence_arousal": [ValenceArousal(face_id, "x", 0.7, 0.3)],
        "attention": [attention(face_id)],
    }
