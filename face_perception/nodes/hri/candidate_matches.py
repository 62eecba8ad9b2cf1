"""The topic /humans/candidate_matches of REP-155: which face belongs to which person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hri_msgs.msg import IdsMatch

from face_perception.ros import messages
from face_perception.ros.result_kinds import Result
from face_perception.types import Attention

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_REPEAT = 500_000_000  # time after which a match is published again, by the stamps, nanoseconds


class CandidateMatches:
    """Publishes the faces that are linked to persons: when that changes, and now and then.

    A link comes from a person (gaze/link_face, a calibration), so its confidence is 1. A link that
    has ended is published once with confidence 0. Make it in the ``setup`` of a node.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        self._publisher = node.publisher(IdsMatch, "/humans/candidate_matches")
        self._links: dict[str, str] = {}  # the person of each face
        self._published_at = 0  # by the stamps, nanoseconds

    def wanted(self) -> bool:
        """Returns whether anybody listens."""
        return self._node.has_subscribers(self._publisher)

    def take(self, attention: Result[Attention]) -> None:
        """Takes the attention of the faces of an image."""
        now = messages.nanoseconds(attention.header.stamp)
        links = {a.face_id: a.person_id for a in attention.values if a.person_id}
        ended = self._links.items() - links.items()
        if links == self._links and 0 <= now - self._published_at < _REPEAT:
            return
        self._links, self._published_at = links, now
        for confidence, pairs in ((0.0, sorted(ended)), (1.0, sorted(links.items()))):
            for face_id, person_id in pairs:
                match = IdsMatch(
                    id1=face_id,
                    id1_type=IdsMatch.FACE,
                    id2=person_id,
                    id2_type=IdsMatch.PERSON,
                    confidence=confidence,
                )
                self._node.publish(self._publisher, match)
