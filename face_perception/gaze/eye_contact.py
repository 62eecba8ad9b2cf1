"""Estimates eye contact: the probability that a person looks into the lens.

``gaze_probability`` has the probability model. Whether a person looks at the robot, which may be
elsewhere than the lens, is decided in ``attention``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from face_perception.errors import InputError
from face_perception.gaze_probability import (
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
    """The settings of ``EyeContact`` under the names that the parameters of a node have.

    >>> settings = EyeContactSettings(eye_contact_prior=0.2)  # people seldom look at this camera
    >>> contact = EyeContact(prior=settings.eye_contact_prior, radius=settings.eye_contact_radius)
    >>> error = GazeErrorModel(yaw_sigma=math.radians(3), pitch_sigma=math.radians(3))
    >>> round(contact.probability(0.0, 0.0, distance=1.0, error=error), 2)  # 0.98 by default
    0.94
    """

    eye_contact_prior: float = setting(
        0.5,
        "Prior probability of eye contact: the share of the time that people look at the camera. A "
        "larger value finds more eye contact and gives more false alarms.",
        minimum=0.001,
        maximum=0.999,
        dynamic=True,
    )
    eye_contact_radius: float = setting(
        0.06,
        "A gaze that passes within this distance of the lens is eye contact. Limited to an angle "
        "of 4 degrees as seen from the eyes. A larger value counts more gazes.",
        minimum=0.001,
        maximum=10.0,
        unit="m",
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class EyeContact:
    """Computes the probability of eye contact.

    - ``prior``: share of the time that people aim at the lens.
    - ``radius``: a look that passes the lens within this distance is eye contact, metres; at most
      4 degrees as seen from the eyes.
    - ``elsewhere``: distribution of all other looks.

    Raises InputError if a value is out of range.

    >>> import math
    >>> from face_perception.gaze_probability import GazeErrorModel
    >>> contact = EyeContact()
    >>> error = GazeErrorModel(yaw_sigma=math.radians(3), pitch_sigma=math.radians(3))
    >>> round(contact.probability(0.0, 0.0, distance=1.0, error=error), 2)  # straight at the lens
    0.98
    >>> round(contact.probability(math.radians(15), 0.0, distance=1.0, error=error), 2)
    0.0
    """

    prior: float = EyeContactSettings.eye_contact_prior
    radius: float = EyeContactSettings.eye_contact_radius
    elsewhere: ElsewherePrior = field(default_factory=ElsewherePrior)

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise InputError(f"prior of eye contact must be between 0 and 1, not {self.prior}")
        if not 0 < self.radius < math.inf:
            raise InputError(f"radius of eye contact must be positive metres, not {self.radius}")

    def probability(
        self, yaw: float, pitch: float, distance: float, error: GazeErrorModel
    ) -> float:
        """Returns the probability that a measured gaze is a look into the lens.

        ``yaw`` and ``pitch``, radians, are its offset from the line between the eyes and the lens
        (see ``gaze_probability.offset_from_line``). ``distance`` is the length of that line,
        metres. Returns NaN if a value is not known.
        """
        if not distance > 0:
            return math.nan
        radius = target_angle(self.radius, distance)
        return target_probability(yaw, pitch, radius, error, self.prior, self.elsewhere)

    def for_gaze(self, gaze: Gaze, up: FloatArray | None = None) -> float:
        """Returns the probability that ``gaze`` is a look into the lens.

        ``up`` [3] points to the top of the person's head, in the optical frame (None: to the top of
        the image). Returns 0 if the eyes are closed for longer than a blink, and NaN if the gaze is
        not valid.
        """
        if gaze.eyes == Eyes.CLOSED:
            return 0.0
        if not gaze.valid:
            return math.nan
        to_camera = -gaze.origin
        yaw, pitch = offset_from_line(gaze.direction, to_camera, up)
        return self.probability(
            yaw, pitch, math.hypot(*to_camera.tolist()), GazeErrorModel.from_gaze(gaze)
        )
