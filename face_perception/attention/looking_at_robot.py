"""Decides whether a person looks at the robot, another face, a named target or none of them.

``LookingSettings`` has the thresholds. ``LookedAt`` applies their hysteresis over time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from face_perception.errors import InputError
from face_perception.settings import setting
from face_perception.types import Target

# A target, and the id of the face or the name of the object if the target is one (else "").
Choice = tuple[Target, str]

UNKNOWN: Choice = (Target.UNKNOWN, "")
NONE: Choice = (Target.NONE, "")
ROBOT: Choice = (Target.ROBOT, "")


@dataclass(frozen=True)
class LookingSettings:
    """Settings that decide what a person looks at."""

    robot_point: tuple[float, ...] = setting(
        (0.0, 0.0, 0.0),
        "The point that people look at when they look at the robot, such as its eyes, in the "
        "camera's optical frame.",
        length=3,
        unit="m",
        dynamic=True,
    )
    robot_radius: float = setting(
        0.06,
        "A gaze that passes within this distance of robot_point is a look at the robot. Limited to "
        "an angle of 4 degrees as seen from the eyes. A larger value counts more gazes.",
        minimum=0.001,
        maximum=10.0,
        unit="m",
        dynamic=True,
    )
    face_radius: float = setting(
        0.1,
        "A gaze that passes within this distance of the midpoint of another face's eyes is a look "
        "at that face. Limited to an angle of 4 degrees as seen from the eyes. A larger value "
        "counts more gazes.",
        minimum=0.001,
        maximum=10.0,
        unit="m",
        dynamic=True,
    )
    robot_prior: float = setting(
        0.5,
        "Prior probability that a person looks at the robot: the share of the time that people "
        "look at it. A larger value gives more looks at the robot, including false ones.",
        minimum=0.001,
        maximum=0.99,
        dynamic=True,
    )
    face_prior: float = setting(
        0.2,
        "Prior probability that a person looks at one of the other faces, if there are any. "
        "robot_prior + face_prior must be below 1. A larger value gives more looks at faces.",
        minimum=0.001,
        maximum=0.99,
        dynamic=True,
    )
    object_share: float = setting(
        0.5,
        "Prior probability that a person who looks neither at the robot nor at a face looks at one "
        "of the named targets, if there are any. A larger value gives more looks at them.",
        minimum=0.001,
        maximum=0.99,
        dynamic=True,
    )
    enter_probability: float = setting(
        0.5,
        "A target counts as looked at from this probability on. A larger value gives fewer false "
        "looks and misses more. At 0.5, a quarter of the people who look elsewhere in press "
        "photographs (n = 52) count as looking at the robot.",
        minimum=0.01,
        maximum=1.0,
        dynamic=True,
    )
    leave_probability: float = setting(
        0.3,
        "The target no longer counts as looked at below this probability. Must not exceed "
        "enter_probability. A larger value ends a look earlier.",
        minimum=0.01,
        maximum=1.0,
        dynamic=True,
    )
    head_sigma: float = setting(
        0.26,
        "Standard deviation of the angle between head and gaze, used for faces without a valid "
        "gaze. A larger value trusts the head pose less.",
        minimum=0.01,
        maximum=1.57,
        unit="rad",
        dynamic=True,
    )
    enter_time: float = setting(
        0.15,
        "A person must look at a target for this long before it counts. A larger value ignores "
        "longer glances. Must not exceed leave_time.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
        dynamic=True,
    )
    leave_time: float = setting(
        0.4,
        "A person must look away from a target for this long before it stops counting. Should be "
        "longer than a blink. A larger value bridges longer glances away.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
        dynamic=True,
    )


def check_looking(settings: LookingSettings) -> None:
    """Raises InputError if two settings contradict each other."""
    for low, high in (
        ("leave_probability", "enter_probability"),
        ("enter_time", "leave_time"),
    ):
        a, b = getattr(settings, low), getattr(settings, high)
        if a > b:
            raise InputError(f"{low} ({a}) must not be above {high} ({b})")
    if settings.robot_prior + settings.face_prior >= 1:
        raise InputError(
            "the sum of robot_prior and face_prior must be below 1, not "
            f"{settings.robot_prior} + {settings.face_prior}"
        )


@dataclass(slots=True)
class LookedAt:
    """What one face looks at, decided with hysteresis over the images of a stream.

    A candidate becomes the ``target`` once it was the most probable one, with at least
    ``enter_probability``, for ``enter_time``. It stays the target until its probability was below
    ``leave_probability``, or another candidate was clearly more probable, for ``leave_time``.
    ``since`` is the stamp, seconds, of the image in which the target began: that in which it was
    seen first, not that in which it had lasted long enough. ``confidence`` is the probability of
    the target in the last image.
    """

    target: Choice = UNKNOWN
    since: float = math.nan
    confidence: float = math.nan
    _pending: Choice = UNKNOWN
    _pending_since: float = math.nan
    _away_since: float = math.nan

    def update(
        self,
        stamp: float,
        probabilities: Mapping[Choice, float],
        settings: LookingSettings,
        *,
        at_once: bool,
    ) -> None:
        """Takes the probability of each candidate in the image of ``stamp`` seconds.

        ``at_once`` accepts a new target without waiting.
        """
        choice = self._most_probable(probabilities, settings)
        if self._is_accepted(stamp, choice, settings, at_once=at_once):
            self.since = self._began(stamp, choice, at_once=at_once)
            self.target = choice
            self._away_since = math.nan
        self.confidence = probabilities.get(self.target, 0.0)

    def _most_probable(
        self, probabilities: Mapping[Choice, float], settings: LookingSettings
    ) -> Choice:
        """Returns the best candidate in this image, with a bonus for the current target.

        The bonus is the factor between the two thresholds, so that the current target is compared
        with ``leave_probability``.
        """
        if UNKNOWN in probabilities:
            return UNKNOWN
        bonus = settings.enter_probability / settings.leave_probability
        best, best_score = NONE, settings.enter_probability
        for choice, probability in probabilities.items():
            if choice == NONE:
                continue
            score = probability * (bonus if choice == self.target else 1.0)
            if score >= best_score:
                best, best_score = choice, score
        return best

    def _is_accepted(
        self, stamp: float, choice: Choice, settings: LookingSettings, *, at_once: bool
    ) -> bool:
        """Returns whether ``choice`` becomes the target, because it has lasted long enough."""
        if choice == self.target:
            self._pending, self._away_since = choice, math.nan
            if math.isnan(self.since):
                self.since = stamp
            return False
        if choice != self._pending:
            self._pending, self._pending_since = choice, stamp
        if math.isnan(self._away_since):
            self._away_since = stamp
        is_thing = choice[0] in (Target.ROBOT, Target.FACE, Target.OBJECT)
        wait = settings.enter_time if is_thing else settings.leave_time
        # The last condition ends a target if other candidates alternate and none of them lasts.
        return (
            at_once
            or self.target == UNKNOWN
            or stamp - self._pending_since >= wait
            or stamp - self._away_since >= settings.leave_time
        )

    def _began(self, stamp: float, choice: Choice, *, at_once: bool) -> float:
        """Returns the stamp of the image in which ``choice``, which is accepted now, began.

        Looking at nothing begins when the last target was left.
        """
        if at_once or self.target == UNKNOWN:
            return stamp
        return self._away_since if choice in (NONE, UNKNOWN) else self._pending_since
