"""Passes the person of a face on to the results about that face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from face_perception.types import (
    ActionUnits,
    Blendshapes,
    Expression,
    Face,
    FaceCrop,
    ValenceArousal,
)

T = TypeVar("T", ActionUnits, Blendshapes, Expression, ValenceArousal)

_MOST = 100  # faces that are remembered, because a result may come after its face has left


class PersonIds:
    """Remembers who each face is, for results that know only the id of the face.

    >>> import numpy as np
    >>> ids = PersonIds()
    >>> ids.note([FaceCrop("face_1", np.zeros((160, 160, 3), np.uint8), np.eye(2, 3), "anna")])
    >>> (named,) = ids.named([ValenceArousal("face_1", "example", 0.0, 0.0)])
    >>> named.person_id
    'anna'
    """

    def __init__(self) -> None:
        self._persons: dict[str, str] = {}  # by face id, the one seen last at the end

    def note(self, faces: Sequence[Face] | Sequence[FaceCrop]) -> None:
        """Takes the faces, or the crops, of an image."""
        for face in faces:
            self._persons.pop(face.face_id, None)
            if face.person_id:
                self._persons[face.face_id] = face.person_id
        while len(self._persons) > _MOST:
            del self._persons[next(iter(self._persons))]

    def named(self, results: Sequence[T]) -> list[T]:
        """Returns the results with the persons of their faces; empty: nobody was recognised."""
        persons = self._persons
        if not persons:
            return list(results)
        return [replace(item, person_id=persons.get(item.face_id, "")) for item in results]
