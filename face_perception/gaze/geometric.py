"""Estimates gaze from landmarks and head pose: rays through the irises onto model eyeballs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from face_perception.gaze.estimator_prior import GEOMETRIC_PRIOR
from face_perception.gaze.eyeballs import (
    EyeReading,
    added_sigma,
    facing_cosine,
    gaze_origin,
    openness_weight,
    read_eyes,
    select_open,
    usable_pose,
    visibility_of_eyes,
)
from face_perception.gaze.gaze_memory import GazeMemory
from face_perception.types import Camera, Face, FloatArray, Gaze

GEOMETRIC = "geometric"
# Revision of the arithmetic here and in ``eyeballs``. Increase it with every change of the gaze of
# the same face: calibrations of another revision are not applied.
_REVISION = "3"
_MIN_FORESHORTENING = 0.2
_DISAGREEMENT = math.radians(20)  # angle between the gazes of both eyes that halves the confidence
# Mean reduction of the turn of the eyes, from which the gaze is not valid. The measured turn is
# then more than 50 degrees, which is impossible, so the irises are misplaced. One of 96 press
# photographs exceeds the limit (17 degrees; its irises are misplaced), no other exceeds 7. No look
# of 56 people (Columbia Gaze) comes near it.
_MISREAD = math.radians(10)


class GeometricGaze(GazeMemory):
    """Estimates the gaze of a face from its landmarks and head pose, without a network.

    The centre of each eyeball lies behind the canthi, as seen from the head. The ray from the
    camera through the centre of the iris meets the eyeball at the pupil. The gaze of the eye points
    from the centre of the eyeball to the pupil; turns that eyes seldom make are reduced. The gaze
    of the face is the mean of both eyes, weighted by how well they are seen, and smoothed with a
    one-euro filter. While both eyes are closed, hidden, turned away, or read as turned farther than
    eyes turn, ``valid`` is false and the last direction is held. ``settings`` None means the
    defaults of ``GazeSettings``.

    Without a calibration, looks up and down are underestimated: on average the estimated pitch is
    0.39 times the true pitch (see ``Gaze.pitch_gain``).

    >>> import cv2
    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.types import Frame
    >>> image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    >>> frame = Frame(image, 0.0, Camera.assume(512, 512))
    >>> (face,) = load_tracker().detect(frame)
    >>> gaze = GeometricGaze().estimate(frame.camera, face, frame.stamp)
    >>> gaze.valid, abs(gaze.yaw) < math.radians(10)  # she looks past the lens
    (True, True)
    """

    name = GEOMETRIC
    revision = _REVISION
    prior = GEOMETRIC_PRIOR

    def estimate(self, camera: Camera, face: Face, stamp: float) -> Gaze:
        """Returns the gaze of ``face``, seen by ``camera`` at ``stamp`` seconds.

        Call it once for each face and image. ``origin`` is the midpoint between the centres of the
        eyeballs; it is NaN if the head pose is not known. ``direction`` is NaN if the pose is not
        known or the eyes are outside the image, and there is no earlier direction. ``confidence``
        is lower for eyes that are small, closing, turned unusually far or that disagree, for a look
        far to the side and for a turned head. Raises InputError for an unknown distortion model of
        the lens.
        """
        level = self.update_openness(face, stamp)
        pose = usable_pose(face)
        readings = [] if pose is None else read_eyes(camera, face, pose)
        open_eyes = select_open(readings, level)
        front = 0.0 if pose is None else facing_cosine(pose)
        reduction = _mean_turn_reduction(open_eyes)
        readable = front >= self.min_facing and reduction < _MISREAD
        valid = bool(open_eyes) and readable
        held = self.last_direction(face.face_id)
        seen = bool(readings) and readable
        added = math.hypot(added_sigma(open_eyes, front), reduction)
        origin = np.full(3, np.nan) if pose is None else gaze_origin(readings, pose)
        if valid:
            direction = self.smooth_direction(face.face_id, stamp, mean_direction(open_eyes))
        elif held is not None:
            direction = held
        else:
            direction = mean_direction(readings) if readings else np.full(3, np.nan)
        aside = _foreshortening(direction, origin)
        return Gaze(
            face_id=face.face_id,
            origin=origin,
            direction=direction,
            confidence=face.confidence * front * aside * _confidence(open_eyes) if valid else 0.0,
            valid=valid,
            source=GEOMETRIC,
            eyes=self.eye_state(face.face_id, stamp, seen=seen, opened=valid),
            yaw_sigma=math.hypot(GEOMETRIC_PRIOR.yaw.sigma / aside, added),
            pitch_sigma=math.hypot(GEOMETRIC_PRIOR.pitch.sigma / aside, added),
            yaw_gain=GEOMETRIC_PRIOR.yaw.scale,
            pitch_gain=GEOMETRIC_PRIOR.pitch.scale,
            yaw_gain_sigma=GEOMETRIC_PRIOR.yaw.scale_sigma,
            pitch_gain_sigma=GEOMETRIC_PRIOR.pitch.scale_sigma,
        )


def _foreshortening(direction: FloatArray, origin: FloatArray) -> float:
    """Returns the cosine of the angle between a gaze and the line to the camera, at least 0.2.

    The iris of an eye that looks far to the side moves little in the image, so the same error of
    the iris is a larger error of the gaze. Returns 1 if direction or origin is NaN.
    """
    (dx, dy, dz), (x, y, z) = direction.tolist(), origin.tolist()
    distance = math.hypot(x, y, z)
    cosine = -(dx * x + dy * y + dz * z) / distance if distance > 0 else math.nan
    return max(cosine, _MIN_FORESHORTENING) if math.isfinite(cosine) else 1.0


def mean_direction(readings: Sequence[EyeReading]) -> FloatArray:
    """Returns the weighted mean direction [3] of both eyes; NaN if neither has one."""
    x = y = z = 0.0
    for eye in readings:
        weight, (dx, dy, dz) = _weight(eye), eye.direction.tolist()
        x, y, z = x + weight * dx, y + weight * dy, z + weight * dz
    length = math.hypot(x, y, z)
    if not length > 0:
        return np.full(3, np.nan)
    return np.array([x / length, y / length, z / length])


def _weight(eye: EyeReading) -> float:
    """Returns the weight of an eye in the mean. Its noise is proportional to 1 / width."""
    return eye.width**2 * openness_weight(eye) * eye.turn_weight


def _mean_turn_reduction(readings: list[EyeReading]) -> float:
    """Returns the weighted mean of ``turn_reduction``, radians; 0 if there is no reading."""
    if not readings:
        return 0.0
    weights = [_weight(eye) for eye in readings]
    weighted = (w * eye.turn_reduction for w, eye in zip(weights, readings, strict=True))
    return sum(weighted) / sum(weights)


def _confidence(readings: list[EyeReading]) -> float:
    """Returns the confidence of the eyes, [0, 1], without those of face, head and look."""
    weight = sum(eye.turn_weight for eye in readings) / max(len(readings), 1)
    seen = visibility_of_eyes(readings) * weight
    if len(readings) < 2:
        return seen
    cosine = float(readings[0].direction @ readings[1].direction)
    apart = math.acos(max(-1.0, min(1.0, cosine)))
    return seen / (1 + (apart / _DISAGREEMENT) ** 2)
