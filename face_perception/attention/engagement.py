"""The engagement of one face with the robot: a state machine over time. Knows no geometry."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from face_perception.types import Engagement

# Every change that can happen; staying is always allowed. Engagement begins with a look and ends
# with looking away: nobody becomes engaged or disengaged without passing the state between.
TRANSITIONS = MappingProxyType(
    {
        Engagement.UNKNOWN: frozenset({Engagement.DISENGAGED, Engagement.ENGAGING}),
        Engagement.DISENGAGED: frozenset({Engagement.UNKNOWN, Engagement.ENGAGING}),
        Engagement.ENGAGING: frozenset(
            {Engagement.UNKNOWN, Engagement.DISENGAGED, Engagement.ENGAGED}
        ),
        Engagement.ENGAGED: frozenset({Engagement.UNKNOWN, Engagement.DISENGAGING}),
        Engagement.DISENGAGING: frozenset(
            {Engagement.UNKNOWN, Engagement.DISENGAGED, Engagement.ENGAGED}
        ),
    }
)


@dataclass(frozen=True, slots=True)
class EngagementTimes:
    """Seconds that a state lasts before the next: ``engage`` of attending until engaged,
    ``disengage`` of looking away until disengaged.
    """

    engage: float
    disengage: float


def next_state(
    state: Engagement, lasted: float, attending: bool | None, times: EngagementTimes
) -> Engagement:
    """The state that follows ``state`` after it lasted ``lasted`` seconds; at most one step.

    ``attending`` says whether the person attends to the robot now; None: it cannot be seen.
    """
    if attending is None:
        return Engagement.UNKNOWN
    if state == Engagement.ENGAGING:
        if not attending:
            return Engagement.DISENGAGED
        return Engagement.ENGAGED if lasted >= times.engage else state
    if state == Engagement.ENGAGED:
        return state if attending else Engagement.DISENGAGING
    if state == Engagement.DISENGAGING:
        if attending:
            return Engagement.ENGAGED
        return Engagement.DISENGAGED if lasted >= times.disengage else state
    return Engagement.ENGAGING if attending else Engagement.DISENGAGED
