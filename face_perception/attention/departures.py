"""Remembers who was here: faces that have left, where and when they were last seen, and as whom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from face_perception.types import Attention, FloatArray

MOST_DEPARTED = 100  # the oldest are forgotten
GONE_AFTER = 2.0  # seconds without the face; a shorter gap is a turned head or a bad image


@dataclass(frozen=True, slots=True)
class Departed:
    """Somebody who has left.

    ``person_id`` is who it was, empty if the face was linked to nobody. ``point`` [3] is where the
    eyes were last seen, metres, in the optical frame; NaN: not known. ``first_seen`` and
    ``last_seen`` are stamps, seconds.
    """

    face_id: str
    person_id: str
    point: tuple[float, float, float]
    first_seen: float
    last_seen: float


class Departures:
    """Keeps the last ``MOST_DEPARTED`` faces that have left, in memory only.

    A face that is seen again under its id is no longer departed. A person who is seen again under
    another id is not either. A person who was not linked gets a new id after a while, and then
    remains departed under the old one: nothing tells that it is the same person.

    >>> departures = Departures()
    >>> departures.update(0.0, [], {})
    False
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._here: dict[str, Departed] = {}
        self._gone: dict[str, Departed] = {}
        self._stamp = -math.inf

    @property
    def departed(self) -> tuple[Departed, ...]:
        """Those who have left, the last one first."""
        return tuple(sorted(self._gone.values(), key=lambda one: -one.last_seen))

    def update(
        self, stamp: float, attention: Sequence[Attention], eyes: Mapping[str, FloatArray | None]
    ) -> bool:
        """Takes all faces in the image of ``stamp`` seconds; returns whether ``departed`` changed.

        ``eyes`` are the midpoints [3] of the eyes by face id. A stamp that goes back forgets all.
        """
        before = self._gone
        if stamp < self._stamp:
            self._reset()
        self._stamp = stamp
        for item in attention:
            point = eyes.get(item.face_id)
            old = self._here.get(item.face_id) or self._gone.get(item.face_id)
            nowhere = (math.nan,) * 3 if old is None else old.point
            x, y, z = nowhere if point is None else point.tolist()
            self._here[item.face_id] = Departed(
                item.face_id,
                item.person_id or ("" if old is None else old.person_id),
                (x, y, z),
                stamp if old is None else old.first_seen,
                stamp,
            )
        left = {k: v for k, v in self._here.items() if stamp - v.last_seen > GONE_AFTER}
        self._here = {k: v for k, v in self._here.items() if k not in left}
        persons = {one.person_id for one in self._here.values()} - {""}
        gone = {
            face_id: one
            for face_id, one in {**self._gone, **left}.items()
            if face_id not in self._here and one.person_id not in persons
        }
        newest = sorted(gone.values(), key=lambda one: one.last_seen)[-MOST_DEPARTED:]
        self._gone = {one.face_id: one for one in newest}
        return self._gone != before
