"""Eye contact: the probability that a gaze meets the camera. See ``gaze_target`` for the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from face_perception.errors import InputError
from face_perception.gaze_target import (
    ElsewherePrior,
    GazeErrorModel,
    offset_from_line,
    target_angle,
    target_probability,
)
from face_perception.settings import setting
from face_perception.types import Eyes, FloatArray, Gaze


@dataclass(frozen=True)
class EyeContactSettings:
    """The settings of ``EyeContact`` under the names that the parameters of a node have."""

    eye_contact_prior: float = setting(
        0.5,
        "Prior probability of eye contact: the share of the time that people look at the camera. A "
        "larger value finds more eye contact and gives more false alarms.",
        minimum=0.001,
        maximum=0.999,
    )
    eye_contact_radius: float = setting(
        0.06,
        "A gaze that passes within this distance of the lens is eye contact. Limited to an angle "
        "of 4 degrees as seen from the eyes. A larger value counts more gazes.",
        minimum=0.001,
        maximum=10.0,
        unit="m",
    )


@dataclass(frozen=True, slots=True)
class EyeContact:
    """The model's constants; ``of`` gives the probability for a gaze.

    - ``prior``: share of the time that people mean to look at the camera.
    - ``radius``: a look that ends within this distance of the lens is eye contact, metres; at most
      4 degrees as seen from the eyes.
    - ``elsewhere``: distribution of all other looks.

    Raises InputError where one is out of range.
    """

    prior: float = EyeContactSettings.eye_contact_prior
    radius: float = EyeContactSettings.eye_contact_radius
    elsewhere: ElsewherePrior = field(default_factory=ElsewherePrior)

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise InputError(f"eye contact's prior must be between 0 and 1, not {self.prior}")
        if not 0 < self.radius < math.inf:
            raise InputError(f"eye contact's radius must be positive, not {self.radius}")

    def probability(
        self, yaw: float, pitch: float, distance: float, error: GazeErrorModel
    ) -> float:
        """Probability for a gaze that is (``yaw``, ``pitch``) radians off the line to the camera,
        from a face ``distance`` metres away. NaN if a value is unknown.
        """
        if not distance > 0:
            return math.nan
        radius = target_angle(self.radius, distance)
        return target_probability(yaw, pitch, radius, error, self.prior, self.elsewhere)

    def for_gaze(self, gaze: Gaze, up: FloatArray | None = None) -> float:
        """The probability for a gaze; ``up`` [3] points to the top of the head.

        0 if the eyes are closed for longer than a blink, NaN if the gaze is not valid.
        """
        if gaze.eyes == Eyes.CLOSED:
            return 0.0
        if not gaze.valid:
            return math.nan
        to_camera = -gaze.origin
        yaw, pitch = offset_from_line(gaze.direction, to_camera, up)
        return self.probability(
            yaw, pitch, float(np.linalg.norm(to_camera)), GazeErrorModel.from_gaze(gaze)
        )
