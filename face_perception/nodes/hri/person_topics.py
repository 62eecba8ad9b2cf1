"""The topics /humans/persons/… and /humans/interactions/gazing of REP-155. Imports hri_msgs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from hri_msgs.msg import EngagementLevel, Gaze
from std_msgs.msg import Bool, Float32, Header, String

from face_perception import hri
from face_perception.nodes.hri.id_topics import IdTopics
from face_perception.ros.result_kinds import Result
from face_perception.ros.serialized_template import Blocks, Templates
from face_perception.types import Attention

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

# Sent when they change, and to later subscribers.
_LATCHED = ("face_id", "anonymous", "location_confidence")


class PersonTopics:
    """Publishes who the faces are, their engagement, and who looks at whom.

    Make it in the ``setup`` of a node.
    """

    def __init__(self, node: PerceptionNode[Any], root: str) -> None:
        self._node = node
        self._gazing = node.publisher(Gaze, f"{root}/interactions/gazing")
        self.ids = IdTopics(
            node,
            root,
            "persons",
            {
                "face_id": String,
                "anonymous": Bool,
                "location_confidence": Float32,
                "engagement_status": EngagementLevel,
            },
            latched=_LATCHED,
        )
        self._templates = Templates()
        self._known: dict[str, hri.Person] = {}  # by id, as in the last message

    def wanted(self) -> bool:
        """Returns whether anybody listens to one of the topics."""
        return self.ids.any_wanted() or self._node.has_subscribers(self._gazing)

    def take(self, attention: Result[Attention]) -> None:
        """Takes the attention of the faces of an image."""
        header = attention.header
        persons = hri.persons_of(attention.values)
        before = self._known
        self._known = {person.person_id: person for person in persons}
        new = self.ids.track(self._known, header)
        for person_id, person in self._known.items():
            known = None if person_id in new else before.get(person_id)
            if known is None or known.face_id != person.face_id:
                self._introduce(person)
            changed = known is None or known.engagement != person.engagement
            if (changed or self.ids.repeats) and self.ids.listened(person_id, "engagement_status"):
                level = EngagementLevel(header=header, level=int(person.engagement))
                self.ids.publish(person_id, "engagement_status", level)
        if self._node.has_subscribers(self._gazing):
            for look in hri.gazing(attention.values):
                make = functools.partial(_gaze, header.frame_id, *look)
                message = self._templates.fill((header.frame_id, *look), make, header.stamp, ())
                self._node.publish(self._gazing, message)

    def _introduce(self, person: hri.Person) -> None:
        """Publishes what stays the same while a person has the same face."""
        for name, message in (
            ("face_id", String(data=person.face_id)),
            ("anonymous", Bool(data=person.anonymous)),
            # REP-155: 1 while the person is seen.
            ("location_confidence", Float32(data=1.0)),
        ):
            self.ids.publish(person.person_id, name, message)


def _gaze(frame_id: str, sender: str, receiver: str, stamp: Time, _: Blocks) -> Any:
    """Returns the message of a look of ``sender`` at ``receiver``."""
    header = Header(stamp=stamp, frame_id=frame_id)
    return Gaze(header=header, sender=sender, receiver=receiver)
