"""The topic /humans/candidate_matches of REP-155: which face belongs to which person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hri_msgs.msg import IdsMatch

from face_perception.hri import PersonLinks
from face_perception.ros import messages
from face_perception.ros.result_kinds import Result
from face_perception.types import Attention, Face

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_REPEAT = 500_000_000  # time after which a match is published again, by the stamps, nanoseconds


class CandidateMatches:
    """Publishes the faces that are linked to persons: when that changes, and every half second.

    A link that somebody made (gaze/link_face, a calibration) has confidence 1, that of a recognised
    face the confidence of its recognition. A link that has ended is published once with confidence
    0. Make it in the ``setup`` of a node.
    """

    def __init__(self, node: PerceptionNode[Any], root: str) -> None:
        self._node = node
        self._publisher = node.publisher(IdsMatch, f"{root}/candidate_matches")
        self._links = PersonLinks()
        self._published_at = 0  # by the stamps, nanoseconds

    def wanted(self) -> bool:
        """Returns whether anybody listens."""
        return self._node.has_subscribers(self._publisher)

    def note_faces(self, faces: Result[Face]) -> None:
        """Notes which faces of an image were recognised."""
        self._links.note_recognised(faces.values)

    def take(self, attention: Result[Attention]) -> None:
        """Takes the attention of the faces of an image."""
        stamp = attention.header.stamp
        now, before = messages.nanoseconds(stamp), self._links.persons
        ended = self._links.update(messages.seconds(stamp), attention.values)
        links = self._links.persons
        if links == before and 0 <= now - self._published_at < _REPEAT:
            return
        self._published_at = now
        matches = [(*pair, 0.0) for pair in ended]
        matches += [(*pair, self._links.confidence(*pair)) for pair in sorted(links.items())]
        for face_id, person_id, confidence in matches:
            match = IdsMatch(
                id1=face_id,
                id1_type=IdsMatch.FACE,
                id2=person_id,
                id2_type=IdsMatch.PERSON,
                confidence=confidence,
            )
            self._node.publish(self._publisher, match)
