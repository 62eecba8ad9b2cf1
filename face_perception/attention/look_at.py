"""Chooses whom the robot should face now, from what each face attends to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from face_perception.errors import InputError, shortened
from face_perception.settings import check, setting
from face_perception.types import Attention, Engagement

ENGAGED_FIRST, NEAREST, SPEAKER, PERSON = "engaged_first", "nearest", "speaker", "person "

# Somebody else is nearer only if the present one is farther by this factor, so that two people at
# the same distance do not alternate.
_NEARER = 1.15
_SPEAKS = 0.5  # least probability of speech of a speaker
# How much a state of engagement calls for the robot's face. Somebody who begins to look at the
# robot comes before somebody who has just looked away.
_RANK = {Engagement.ENGAGED: 3, Engagement.ENGAGING: 2, Engagement.DISENGAGING: 1}


@dataclass(frozen=True)
class LookAtSettings:
    """Settings of ``LookAt``."""

    look_at_policy: str = setting(
        ENGAGED_FIRST,
        "Whom the robot should face. engaged_first: the most engaged person, and of these the "
        "nearest. nearest: the nearest. speaker: who speaks, else as engaged_first. person NAME: "
        "the person who is linked to NAME, and nobody else.",
        dynamic=True,
    )
    look_at_time: float = setting(
        0.8,
        "Somebody else must be the better choice for this long before the robot should turn. A "
        "larger value makes the robot calmer.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
        dynamic=True,
    )


def check_look_at(settings: LookAtSettings) -> None:
    """Raises InputError if the policy is not known."""
    policy = settings.look_at_policy
    named = policy.startswith(PERSON) and policy[len(PERSON) :].strip()
    if policy not in (ENGAGED_FIRST, NEAREST, SPEAKER) and not named:
        raise InputError(
            f"look_at_policy: {shortened(policy)} is unknown: use {ENGAGED_FIRST}, {NEAREST}, "
            f"{SPEAKER}, or {PERSON}NAME"
        )


class LookAt:
    """Chooses whom the robot should face, with hysteresis.

    The first face is chosen at once. Another face is chosen once it was the better one for
    ``look_at_time``; of faces that rank the same, the nearer is better only if it is clearly
    nearer. A face that is lost stays the choice for as long, in case it comes back. All times are
    stamps of images, in seconds.

    Raises InputError if a setting is out of range.

    >>> from face_perception.types import Target
    >>> seen = [
    ...     Attention(name, "geometric", False, 0.1, metres, Target.NONE, "", 0.0, state, 0.0)
    ...     for name, metres, state in (
    ...         ("face_1", 0.7, Engagement.DISENGAGED), ("face_2", 1.5, Engagement.ENGAGED)
    ...     )
    ... ]
    >>> LookAt().update(0.0, seen)
    'face_2'
    >>> LookAt(LookAtSettings(look_at_policy="nearest")).update(0.0, seen)
    'face_1'
    """

    def __init__(self, settings: LookAtSettings | None = None) -> None:
        self.change_settings(settings or LookAtSettings())
        self.reset()

    def change_settings(self, settings: LookAtSettings) -> None:
        """Uses other settings from the next image on. Raises InputError if one is not allowed."""
        check(settings)
        check_look_at(settings)
        self._settings = settings

    def reset(self) -> None:
        """Forgets whom the robot faces."""
        self._choice = ""
        self._better_since = math.nan
        self._stamp = -math.inf

    def update(self, stamp: float, attention: Sequence[Attention]) -> str:
        """Returns the id of the face to look at; empty: nobody.

        ``attention`` is that of all faces in the image of ``stamp`` seconds. A stamp that goes back
        resets the choice. The face that is returned may be missing in this image.
        """
        if stamp < self._stamp:
            self.reset()
        self._stamp = stamp
        ranks = {item.face_id: rank for item in attention if (rank := self._rank(item)) is not None}
        best = max(ranks, key=lambda face_id: ranks[face_id], default="")
        current = ranks.get(self._choice)
        if self._choice == best or (current is not None and not _is_better(ranks[best], current)):
            self._better_since = math.nan
            return self._choice
        if math.isnan(self._better_since):
            self._better_since = stamp
        if not self._choice or stamp - self._better_since >= self._settings.look_at_time:
            self._choice, self._better_since = best, math.nan
        return self._choice

    def _rank(self, item: Attention) -> tuple[float, float] | None:
        """Returns the rank of a face, and minus its distance; None if it is no candidate.

        A face whose distance is not known comes after all others of its rank.
        """
        nearness = -math.inf if math.isnan(item.distance) else -item.distance
        policy = self._settings.look_at_policy
        if policy.startswith(PERSON):
            return (0, nearness) if item.person_id == policy[len(PERSON) :].strip() else None
        if policy == NEAREST:
            return 0, nearness
        speaks = policy == SPEAKER and item.speaking >= _SPEAKS
        return _RANK.get(item.engagement, 0) + (len(_RANK) + 1) * speaks, nearness


def _is_better(rank: tuple[float, float], current: tuple[float, float]) -> bool:
    """Returns whether a face calls for a turn away from the current one."""
    if rank[0] != current[0]:
        return rank[0] > current[0]
    return current[1] < rank[1] * _NEARER
