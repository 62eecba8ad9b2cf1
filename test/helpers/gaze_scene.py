"""Scripted people with known gaze, for an estimator with known gain and bias."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from face_perception import faces
from face_perception.gaze import (
    eye_points,
    from_normalized_angles,
    normalized_camera_rotation,
    to_normalized_angles,
)
from face_perception.gaze.eyeballs import _ABOVE, _OUTWARDS, _RADIUS, EYEBALL_BEHIND
from face_perception.people import CalibrationSession, PersonRegistry
from face_perception.types import Camera, Face, Gaze, HeadPose, Roi

CAMERA = Camera.assume(1280, 720)
Point = tuple[float, float, float]

# The 12 points around the eyes in the face frame (x out of the face, y to its left, z up), metres,
# in the order of `eye_points`: from the right eye's outer canthus to the left eye's inner one.
_RIGHT = np.array(
    [
        [-0.0205, -0.0445, -0.0045],
        [-0.017, -0.036, 0.0005],
        [-0.015, -0.027, 0.0005],
        [-0.0155, -0.0185, -0.0047],
        [-0.015, -0.027, -0.009],
        [-0.017, -0.036, -0.009],
    ]
)
_LEFT = (_RIGHT * (1, -1, 1))[[3, 2, 1, 0, 5, 4]]
# The left eye's centre as the geometric estimator assumes it. The irises have that estimator's
# effective radius, not the real one, so that it answers as the script says. test_gaze.py tests it
# on real eyes.
_EYEBALL = (_LEFT[0] + _LEFT[3]) / 2 + (-EYEBALL_BEHIND, _OUTWARDS, _ABOVE)
_LEFT_IRIS = [faces.LEFT_IRIS_CENTRE, *faces.LEFT_IRIS_RIM]
_RIGHT_IRIS = [faces.RIGHT_IRIS_CENTRE, *faces.RIGHT_IRIS_RIM]
_ORDER = eye_points(np.repeat(np.arange(478.0)[:, None], 3, 1))[:, 0].astype(int)


@dataclass(frozen=True)
class Actor:
    """A person at ``at`` who looks at ``looks_at(t)``.

    The true gaze is ``gain`` * the answer of the estimator + ``bias``, for yaw and pitch in the
    normalized camera, radians. The head faces the camera, turned to its left by ``turn(t)`` and
    tilted by ``roll``, radians.
    """

    id: str
    at: Point = (0.05, -0.05, 0.8)
    looks_at: Callable[[float], Point] = field(default=lambda t: (0.0, 0.0, 0.0))
    bias: tuple[float, float] = (0.0, 0.0)
    gain: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0
    roll: float = 0.0
    turn: Callable[[float], float] = field(default=lambda t: 0.0)
    blinks: Callable[[float], bool] = field(default=lambda t: False)
    seen: Callable[[float], bool] = field(default=lambda t: True)
    source: str = "scripted"

    @functools.cached_property
    def _upright(self) -> np.ndarray:
        """Rotation of the head that is not turned."""
        forward = -np.array(self.at) / np.linalg.norm(self.at)
        left = np.cross([0.0, -1.0, 0.0], forward)
        left /= np.linalg.norm(left)
        facing = np.stack([forward, left, np.cross(forward, left)], axis=1)
        return facing @ cv2.Rodrigues(np.array([self.roll, 0.0, 0.0]))[0]

    def rotation(self, t: float) -> np.ndarray:
        return self._upright @ cv2.Rodrigues(np.array([0.0, 0.0, self.turn(t)]))[0]

    @functools.cached_property
    def origin(self) -> Point:
        """Returns the midpoint of the eyes."""
        return tuple(np.array(self.at) + self.rotation(0.0) @ (-0.018, 0.0, -0.0045))

    def face(self, t: float) -> Face:
        rotation = self.rotation(t)
        points = np.array(self.at) + np.concatenate([_RIGHT, _LEFT]) @ rotation.T
        landmarks = np.zeros((478, 3), np.float32)
        landmarks[_ORDER, :2] = faces.project_points(CAMERA, points)
        direction = self._direction(t, landmarks)
        for side, iris in ((1, _LEFT_IRIS), (-1, _RIGHT_IRIS)):
            eyeball = np.array(self.at) + rotation @ (_EYEBALL * (1, side, 1))
            pupil = eyeball + _RADIUS * direction
            landmarks[iris, :2] = faces.project_points(CAMERA, pupil[None])
        openness = 0.2 if self.blinks(t) else 1.0
        from_landmark_frame = faces.landmark_frame(HeadPose(np.zeros(3), np.eye(3))).T
        pose = HeadPose(np.array(self.at), rotation @ from_landmark_frame)
        return Face(self.id, 1.0, Roi(0, 0, 1, 1), landmarks, pose, openness, openness)

    def direction(self, t: float, face: Face | None = None) -> np.ndarray:
        """Returns the direction that the estimator reports, which the irises also show.

        ``face`` is that of the same moment; it is computed if it is None.
        """
        return self._direction(t, (face or self.face(t)).landmarks)

    def _direction(self, t: float, landmarks: np.ndarray) -> np.ndarray:
        truth = np.subtract(self.looks_at(t), self.origin)
        seen = Face(self.id, 1.0, Roi(0, 0, 1, 1), landmarks, None)
        rotation = normalized_camera_rotation(CAMERA, seen)
        yaw, pitch = to_normalized_angles(rotation, truth / np.linalg.norm(truth))
        random = np.random.default_rng(round(t * 1000))
        noise = random.normal(0, self.noise, 2) if self.noise else (0.0, 0.0)
        return from_normalized_angles(
            rotation,
            (yaw - self.bias[0]) / self.gain[0] + noise[0],
            (pitch - self.bias[1]) / self.gain[1] + noise[1],
        )

    def gaze(self, t: float, face: Face | None = None) -> Gaze:
        origin, shut = np.array(self.origin), self.blinks(t)
        direction = self.direction(t, face)
        return Gaze(self.id, origin, direction, 1.0 - shut, not shut, self.source)


def run(
    session: CalibrationSession,
    *actors: Actor,
    images: int = 100,
    people: PersonRegistry | None = None,
    interval: float = 0.1,
    start: float = 0.0,
) -> None:
    """Gives ``images`` of ``actors`` to a session, through ``people`` if given."""
    for k in range(images):
        if session.finished:
            return
        stamp = start + k * interval
        here = [actor for actor in actors if actor.seen(stamp)]
        faces = [actor.face(stamp) for actor in here]
        gazes = [actor.gaze(stamp, face) for actor, face in zip(here, faces, strict=True)]
        if people is not None:
            people.update(stamp, CAMERA, faces, gazes)
        else:
            session.add_image(
                stamp, CAMERA, {f.face_id: f for f in faces}, {g.face_id: g for g in gazes}
            )
