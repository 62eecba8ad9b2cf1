"""Gaze from landmarks and head pose alone: iris rays on an eyeball. Reads no pixels."""

from __future__ import annotations

import math

import numpy as np

from face_perception.gaze.estimator_prior import AxisPrior, EstimatorPrior
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
# Revision of the arithmetic here and in `eyes`. Raise it with every change that alters the gaze of
# the same face: calibrations of an older revision are then no longer applied.
_REVISION = "3"
_MIN_FORESHORTENING = 0.2
_DISAGREEMENT = math.radians(20)  # angle between the two eyes that halves the confidence

# Measured on 56 people with 21 targets each, +-15 degrees sideways and +-10 up and down (Columbia
# Gaze: eye bands set into another face). Regression of truth on estimate for each person: gain
# 1.05 +- 0.20 in yaw and 2.3 +- 0.67 in pitch, bias 2.3 and 8 degrees. One target cannot show the
# gain of pitch: 1.5 about the target is a compromise between looks (2.3) and the effect of
# expressions (1). Without calibration the gazes of people who look at the lens spread by 2.4 to 3.4
# degrees in yaw and 3.4 to 3.7 in pitch (three donor faces), and by 4 degrees in pitch on 14 faces
# in press photographs. The error grows away from the lens, because people's gains differ: it has a
# spread of 0.3 times a look to the side and 0.11 times a look up or down. After one target at the
# lens the errors of looks 5 degrees beside it have a spread of 2.7 degrees in yaw and 2.7 in pitch,
# which grows by 0.29 and 0.20 times the look; for pitch 0.15 is used, which
# a person at a tablet has.
PRIOR = EstimatorPrior(
    yaw=AxisPrior(
        gain=1.05,
        spread=0.20,
        bias=math.radians(3),
        scale=0.94,
        scale_sigma=0.29,
        sigma=math.radians(2.9),
        share=0.72,
        cross=0.2,
    ),
    pitch=AxisPrior(
        gain=2.3,
        spread=0.67,
        bias=math.radians(8),
        cautious=1.5,
        scale=0.39,
        scale_sigma=0.10,
        sigma=math.radians(4.3),
        share=0.9,
        cross=0.1,
    ),
    noise=math.radians(2.5),
    residual=math.radians(5.2),
    residual_with_gain=math.radians(3.5),
    lid_gain=math.radians(121),
    pitch_with_lids=1.4,
)


class GeometricGaze(GazeMemory):
    """Gaze of faces from their landmarks and head pose, with a memory for each face id.

    The centre of each eyeball lies behind the measured canthi, along the head. The ray through the
    centre of the iris meets the eyeball in front of it; the direction from the centre to that point
    is the gaze of that eye, less far from straight ahead where eyes seldom turn so far. The two
    eyes are averaged by how well they are seen, and smoothed
    (one-euro filter). While both eyes are closed, hidden or turned away the last direction is held
    and ``valid`` is false. ``GazeMemory`` has the settings.

    Without calibration a look up or down is underestimated: for the average person the pitch is
    0.39 of the true one, see ``Gaze.pitch_gain``.
    """

    name = GEOMETRIC
    revision = _REVISION
    prior = PRIOR

    def estimate(self, camera: Camera, face: Face, stamp: float) -> Gaze:
        """Gaze of ``face`` seen by ``camera`` at ``stamp`` seconds; once an image and face.

        ``origin`` is between the centres of the eyeballs. Direction and origin are NaN if nothing
        is known: no pose, or eyes outside the image, and no earlier direction. ``confidence`` in
        [0, 1] is lower for small, closing or disagreeing eyes, a look far to the side and a turned
        head. It only ranks gazes; it is not a probability. Raises InputError for an unknown lens
        distortion.
        """
        level = self.update_openness(face, stamp)
        pose = usable_pose(face)
        looks = [] if pose is None else read_eyes(camera, face, pose)
        open_eyes = select_open(looks, level)
        front = 0.0 if pose is None else facing_cosine(pose)
        valid = bool(open_eyes) and front >= self.min_facing
        held = self.last_direction(face.id)
        seen = bool(looks) and front >= self.min_facing
        added = math.hypot(added_sigma(open_eyes, front), _compressed(open_eyes))
        origin = np.full(3, np.nan) if pose is None else gaze_origin(looks, pose)
        if valid:
            direction = self.smooth_direction(face.id, stamp, _mean(open_eyes))
        elif held is not None:
            direction = held
        else:
            direction = _mean(looks) if looks else np.full(3, np.nan)
        aside = _foreshortening(direction, origin)
        return Gaze(
            face_id=face.id,
            origin=origin,
            direction=direction,
            confidence=face.confidence * front * aside * _confidence(open_eyes) if valid else 0.0,
            valid=valid,
            source=GEOMETRIC,
            eyes=self.eye_state(face.id, stamp, seen=seen, opened=valid),
            yaw_sigma=math.hypot(PRIOR.yaw.sigma / aside, added),
            pitch_sigma=math.hypot(PRIOR.pitch.sigma / aside, added),
            yaw_gain=PRIOR.yaw.scale,
            pitch_gain=PRIOR.pitch.scale,
            yaw_gain_sigma=PRIOR.yaw.scale_sigma,
            pitch_gain_sigma=PRIOR.pitch.scale_sigma,
        )


def _foreshortening(direction: FloatArray, origin: FloatArray) -> float:
    """Cosine between a gaze and the line to the camera, at least 0.2; 1 if one of them is unknown.

    The iris of an eye that looks far to the side moves little in the image, so the same error of
    the iris is a larger error of the gaze.
    """
    distance = float(np.linalg.norm(origin))
    cosine = -float(direction @ origin) / distance if distance > 0 else math.nan
    return max(cosine, _MIN_FORESHORTENING) if math.isfinite(cosine) else 1.0


def _mean(looks: list[EyeReading]) -> FloatArray:
    """Mean direction; the noise of an eye's direction goes with one over its width."""
    total = np.zeros(3)
    for look in looks:
        total += look.width**2 * openness_weight(look) * look.plausible * look.direction
    length = float(np.linalg.norm(total))
    return total / length if length > 0 else np.full(3, np.nan)


def _compressed(looks: list[EyeReading]) -> float:
    """Radians by which the prior of their turn moved the eyes, weighted like the directions."""
    if not looks:
        return 0.0
    weights = [look.width**2 * openness_weight(look) * look.plausible for look in looks]
    return float(np.average([look.compressed for look in looks], weights=weights))


def _confidence(looks: list[EyeReading]) -> float:
    seen = visibility_of_eyes(looks) * float(np.mean([look.plausible for look in looks] or [0.0]))
    if len(looks) < 2:
        return seen
    cosine = float(looks[0].direction @ looks[1].direction)
    apart = math.acos(max(-1.0, min(1.0, cosine)))
    return seen / (1 + (apart / _DISAGREEMENT) ** 2)
