"""The engagement of one face with the robot: a state machine over time. Knows no geometry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from face_perception.types import Engagement


@dataclass(frozen=True, slots=True)
class EngagementTimes:
    """Seconds that a state lasts before the next: ``engage`` of attending until engaged,
    ``disengage`` of looking away until disengaged.
    """

    engage: float
    disengage: float


class Attending(Enum):
    """Whether a person attends to the robot now.

    ``PERHAPS``: the head faces it, but the eyes cannot be seen. ``UNKNOWN``: nothing can be seen.
    """

    UNKNOWN = 0
    NO = 1
    PERHAPS = 2
    YES = 3


def next_state(
    state: Engagement, lasted: float, attending: Attending, times: EngagementTimes
) -> Engagement:
    """The state that follows ``state`` after it lasted ``lasted`` seconds; at most one step.

    ``PERHAPS`` begins an engagement and keeps it, but does not complete it: nobody becomes engaged
    by the head pose alone.
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
        return Engagement.ENGAGED if lasted >= times.engage else state
    if state == Engagement.ENGAGED:
        return state if looks else Engagement.DISENGAGING
    if looks:
        return Engagement.ENGAGED
    return Engagement.DISENGAGED if lasted >= times.disengage else state
