"""Computes the probability of each target (robot, other faces, named targets, none) of a look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from face_perception.attention.looking_at_robot import (
    NONE,
    ROBOT,
    UNKNOWN,
    Choice,
    LookingSettings,
)
from face_perception.attention.named_targets import Sphere
from face_perception.gaze_probability import (
    ElsewherePrior,
    GazeErrorModel,
    aimed_likelihood,
    gaze_likelihoods,
    offset_from_line,
    target_angle,
)
from face_perception.types import FloatArray, Target

_ELSEWHERE = ElsewherePrior()


@dataclass(frozen=True, slots=True)
class LookRay:
    """Where a face looks: a ray in the optical frame with its error.

    - ``origin`` [3]: midpoint of the eyes, metres.
    - ``direction`` [3]: any length but 0.
    - ``source``: the gaze estimator, or "head_pose".
    - ``error``: for offsets from the line to the camera, or from any line if ``error_everywhere``.
    - ``up`` [3]: to the top of the head; None if it is not known.
    """

    origin: FloatArray
    direction: FloatArray
    source: str
    error: GazeErrorModel
    up: FloatArray | None
    error_everywhere: bool = False

    def error_from(self, line: FloatArray) -> GazeErrorModel:
        """Returns the error for offsets from the ``line`` [3] to a target."""
        if self.error_everywhere:
            return self.error
        yaw, pitch = offset_from_line(line, -self.origin, self.up)
        return self.error.shifted_by(yaw, pitch) if math.isfinite(yaw + pitch) else self.error


def target_probabilities(
    look: LookRay,
    robot: FloatArray,
    others: Mapping[str, FloatArray],
    settings: LookingSettings,
    objects: Mapping[str, Sphere],
) -> dict[Choice, float]:
    """Returns the posterior probability of each candidate and of NONE; the sum is 1.

    ``robot`` [3] is the point of the robot and ``others`` are the midpoints [3] of the eyes of the
    other faces by id, metres, in the optical frame. ``objects`` are the named targets by name.
    Returns UNKNOWN with NaN if the direction to the robot is not known.
    """
    rest = 1 - settings.robot_prior - (settings.face_prior if others else 0.0)
    at_objects = rest * settings.object_share if objects else 0.0
    rest -= at_objects
    targets: list[tuple[Choice, FloatArray, float, float]] = [
        (ROBOT, robot, settings.robot_radius, settings.robot_prior)
    ]
    for face_id, point in others.items():
        prior = settings.face_prior / len(others)
        targets.append(((Target.FACE, face_id), point, settings.face_radius, prior))
    for name, thing in objects.items():
        prior = at_objects / len(objects)
        targets.append(((Target.OBJECT, name), thing.centre, thing.radius, prior))
    weights: dict[Choice, float] = {}
    elsewhere = math.nan
    for choice, point, size, prior in targets:
        line = point - look.origin
        distance = math.hypot(*line.tolist())
        if not distance > 0:
            continue
        yaw, pitch = offset_from_line(look.direction, line, look.up)
        if not (math.isfinite(yaw) and math.isfinite(pitch)):
            continue
        # Only the eyes of a face or of the robot draw a look within a narrow cone.
        is_thing = choice[0] == Target.OBJECT
        radius = math.atan2(size, distance) if is_thing else target_angle(size, distance)
        error = look.error_from(line)
        if choice != ROBOT:
            weights[choice] = prior * aimed_likelihood(yaw, pitch, radius, error)
            continue
        aimed, other, chance = gaze_likelihoods(yaw, pitch, radius, error, _ELSEWHERE)
        weights[choice] = prior * aimed + rest * chance
        elsewhere = rest * (other - chance)
    if math.isnan(elsewhere):
        return {UNKNOWN: math.nan}
    weights[NONE] = elsewhere
    total = sum(weights.values())
    # All likelihoods underflow for a look that is far from every candidate.
    if not total > 0:
        return {NONE: 1.0}
    return {choice: weight / total for choice, weight in weights.items()}
