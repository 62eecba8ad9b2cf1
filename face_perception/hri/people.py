"""Persons, their engagement and their looks at each other, from attention, as REP-155 has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from face_perception.attention import HEAD_POSE
from face_perception.types import Attention, Engagement, Target

ROBOT = ""  # the id of the robot in hri_msgs/Gaze


@dataclass(frozen=True, slots=True)
class Person:
    """A person who is seen. ``anonymous``: the face is linked to nobody, so the id is transient."""

    person_id: str
    face_id: str
    anonymous: bool
    engagement: Engagement


def person_id_of(face_id: str, person_id: str) -> str:
    """Returns the id of the person with a face, which is linked to ``person_id`` (empty: nobody).

    A face that is linked to nobody belongs to an anonymous person, because only persons can gaze
    and be engaged in REP-155.
    """
    return person_id or f"anonymous_{face_id}"


def persons_of(attention: Sequence[Attention]) -> list[Person]:
    """Returns the persons of the faces. Of two faces of one person, the first counts."""
    found: dict[str, Person] = {}
    for item in attention:
        person_id = person_id_of(item.face_id, item.person_id)
        person = Person(person_id, item.face_id, not item.person_id, item.engagement)
        found.setdefault(person_id, person)
    return list(found.values())


def gazing(attention: Sequence[Attention]) -> list[tuple[str, str]]:
    """Returns (sender, receiver) of each look at the robot or at another person.

    Both are ids of persons; ``ROBOT`` stands for the robot. Two people who look at each other are
    in the list twice. A look that is only guessed from the head pose is left out.
    """
    ids = {item.face_id: person_id_of(item.face_id, item.person_id) for item in attention}
    looks = []
    for item in attention:
        if item.looking_at_robot:
            looks.append((ids[item.face_id], ROBOT))
        elif item.target == Target.FACE and item.source != HEAD_POSE and item.target_id in ids:
            looks.append((ids[item.face_id], ids[item.target_id]))
    return looks
