"""The engagement of a person with the robot, as a state machine over time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from face_perception.settings import setting
from face_perception.types import Engagement


@dataclass(frozen=True)
class EngagementSettings:
    """Settings of the state machine."""

    max_distance: float = setting(
        3.0,
        "A person farther from the robot than this is not engaged.",
        minimum=0.0,
        maximum=100.0,
        unit="m",
        dynamic=True,
    )
    engage_time: float = setting(
        1.0,
        "A person who attends to the robot for this long changes from engaging to engaged.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
        dynamic=True,
    )
    disengage_time: float = setting(
        2.0,
        "A person who looks away for this long changes from disengaging to disengaged.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
        dynamic=True,
    )


class Attending(Enum):
    """Whether a person attends to the robot in this image.

    ``PERHAPS``: the head faces the robot, but the eyes cannot be seen. ``UNKNOWN``: neither is
    known.
    """

    UNKNOWN = 0
    NO = 1
    PERHAPS = 2
    YES = 3


def next_engagement(
    state: Engagement, lasted: float, attending: Attending, settings: EngagementSettings
) -> Engagement:
    """Returns the state that follows ``state``, which has lasted for ``lasted`` seconds.

    It advances by at most one step. ``PERHAPS`` starts an engagement and keeps it, but nobody
    becomes engaged by the head pose alone.
    """
    if attending == Attending.UNKNOWN:
        return Engagement.UNKNOWN
    if state in (Engagement.UNKNOWN, Engagement.DISENGAGED):
        return Engagement.DISENGAGED if attending == Attending.NO else Engagement.ENGAGING
    if attending == Attending.PERHAPS:
        return state
    looks = attending == Attending.YES
    if state == Engagement.ENGAGING:
        if not looks:
            return Engagement.DISENGAGED
        return Engagement.ENGAGED if lasted >= settings.engage_time else state
    if state == Engagement.ENGAGED:
        return state if looks else Engagement.DISENGAGING
    if looks:
        return Engagement.ENGAGED
    return Engagement.DISENGAGED if lasted >= settings.disengage_time else state
