"""Keeps the newest messages of the graph unread, and reads those that the page shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import deserialize_message

from face_perception import msg
from face_perception.ros import result_kinds
from face_perception.ros.raw_topics import RawTopics
from face_perception.ros.result_kinds import Result, ResultKind
from face_perception.sessions import header_stamp

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_KINDS: Mapping[str, ResultKind[Any]] = {
    "faces": result_kinds.FACES,
    "gaze": result_kinds.GAZES,
    "action_units": result_kinds.ACTION_UNITS,
    "expressions": result_kinds.EXPRESSIONS,
    "valence_arousal": result_kinds.VALENCE_AROUSAL,
    "motion_affect": result_kinds.VALENCE_AROUSAL,
    "attention": result_kinds.ATTENTION,
}
_DIAGNOSTICS, _SESSION = "/diagnostics", "session/status"
_KEPT = 30  # messages of each topic
_HOLD = 1.5  # seconds for which an older result is shown with a newer image
_IMAGES = 8  # raw images are large
_SAME = 1e-6  # seconds between two stamps of one image


@dataclass
class Snapshot:
    """What is known about one image. ``results`` are by topic; ``image`` is a message, or None."""

    stamp: float
    image: Any
    results: dict[str, Result[Any]] = field(default_factory=dict)


class GraphState:
    """The topics that the dashboard of ``node`` reads. Call ``look`` now and then, or ``end``.

    ``image`` is the image topic (its full name), empty for no picture.
    """

    def __init__(self, node: PerceptionNode[Any], image: str) -> None:
        self._node, self._image = node, image
        self._names = {node.resolve_topic_name(topic): topic for topic in _KINDS}
        self._messages: dict[str, deque[tuple[float, bytes]]] = {
            **{topic: deque(maxlen=_KEPT) for topic in _KINDS},
            image: deque(maxlen=_IMAGES),
        }
        self._session_topic = node.resolve_topic_name(_SESSION)
        self._session: bytes | None = None
        self.diagnostics: dict[str, Any] = {}  # status of each node
        topics = [*self._names, _DIAGNOSTICS, self._session_topic, *filter(None, [image])]
        # Of all but the diagnostics, only the newest counts.
        self._topics = RawTopics(node, topics, self._keep, depth=_IMAGES)

    def look(self) -> None:
        """Subscribes to what has publishers now."""
        self._topics.look()

    def end(self) -> None:
        """Ends all subscriptions, and forgets what was received."""
        self._topics.end()
        for messages in self._messages.values():
            messages.clear()
        self._session = None
        self.diagnostics.clear()

    @property
    def session(self) -> Any:
        """The last SessionStatus; None without a session node."""
        data = self._session
        return None if data is None else deserialize_message(data, msg.SessionStatus)

    @property
    def problems(self) -> list[str]:
        """Why topics are left out."""
        return list(self._topics.problems.values())

    def snapshot(self) -> Snapshot:
        """Returns the newest image whose faces are known, with its results, else the newest image.

        Raises InputError if a message is invalid.
        """
        images = tuple(self._messages[self._image]) if self._image else ()
        faces = tuple(self._messages["faces"])
        known = {round(stamp / _SAME) for stamp, _ in faces}
        with_faces = [one for one in images if round(one[0] / _SAME) in known]
        chosen = (with_faces or images or faces or ((0.0, b""),))[-1]
        image = None
        if images:
            image = deserialize_message(chosen[1], self._topics.kinds[self._image])
        found = Snapshot(chosen[0], image)
        for topic, kind in _KINDS.items():
            near = [
                one
                for one in tuple(self._messages[topic])
                if -_SAME <= chosen[0] - one[0] <= (_SAME if topic == "faces" else _HOLD)
            ]
            if near:
                message = deserialize_message(near[-1][1], kind.message_type)
                found.results[topic] = kind.read(message, self._refuse)
        return found

    def _refuse(self, error: ValueError) -> None:
        self._node.count("refused")

    def _keep(self, topic: str, data: bytes) -> None:
        if topic == _DIAGNOSTICS:
            for status in deserialize_message(data, DiagnosticArray).status:
                if status.hardware_id == "face_perception":
                    self.diagnostics[status.name] = status
        elif topic == self._session_topic:
            self._session = data
        else:
            self._node.count("input")
            self._messages[self._names.get(topic, topic)].append((header_stamp(data), data))
