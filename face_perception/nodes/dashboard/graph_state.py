"""Keeps the newest messages of the graph unread, and reads those that the page shows."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image

from face_perception import msg
from face_perception.errors import InputError
from face_perception.ros import result_kinds
from face_perception.ros.raw_topics import RawTopics, message_class, read_message
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
_DEPTH = 8  # messages of a topic that wait
# The same of results and images. An update needs those of the newest image with known faces, and
# takes all that wait before it.
_DEPTH_ON_DEMAND = 4
_HOLD = 1.5  # seconds for which an older result is shown with a newer image
_IMAGES = 8  # raw images are large
_SAME = 1e-6  # seconds between two stamps of one image


@dataclass
class Snapshot:
    """What is known about one image. ``results`` are by topic.

    ``image`` is the message unread, empty without an image; ``GraphState.read_image`` reads it.

    ``stamp`` is in seconds, NaN if the image has none.
    """

    stamp: float
    image: bytes
    results: dict[str, Result[Any]] = field(default_factory=dict)


class GraphState:
    """The topics that the dashboard of ``node`` reads.

    Call ``look`` now and then, or ``end``, and ``take`` on the same thread before a ``snapshot``.

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
        self._session: tuple[float, Any] | None = None  # when it was received, and the message
        # By the name of a node: its status, and when that was received (monotonic, seconds).
        self.diagnostics: dict[str, tuple[DiagnosticStatus, float]] = {}
        self._received = time.monotonic()  # when the last image or faces came
        self._types: dict[str, tuple[type[Any], ...]] = {
            **{full: (_KINDS[topic].message_type,) for full, topic in self._names.items()},
            _DIAGNOSTICS: (DiagnosticArray,),
            self._session_topic: (msg.SessionStatus,),
            **({image: (Image, CompressedImage)} if image else {}),
        }
        self._topics = RawTopics(
            node,
            self._types,
            self._keep,
            depth=_DEPTH,
            on_demand=dict.fromkeys((*self._names, image), _DEPTH_ON_DEMAND),
            found=self._check,
        )

    def look(self) -> None:
        """Subscribes to what has publishers now."""
        self._topics.look()

    def take(self) -> None:
        """Receives the newest results, and images up to that of the newest faces."""
        for full in self._names:
            self._topics.take(full)
        newest = _rounded(self._messages["faces"][-1][0]) if self._messages["faces"] else math.nan
        self._topics.take(self._image, lambda data: _rounded(header_stamp(data)) == newest)

    def end(self) -> None:
        """Ends all subscriptions, and forgets what was received."""
        self._topics.end()
        for messages in self._messages.values():
            messages.clear()
        self._session = None
        self._received = time.monotonic()
        self.diagnostics.clear()

    @property
    def session(self) -> tuple[Any, float]:
        """The last SessionStatus, None without a session node, and its age in seconds."""
        if (found := self._session) is None:
            return None, 0.0
        received, status = found
        return status, time.monotonic() - received

    @property
    def silence(self) -> float:
        """Seconds since the last image or the last faces."""
        return time.monotonic() - self._received

    @property
    def problems(self) -> list[str]:
        """Why topics are left out."""
        return list(self._topics.problems.values())

    def snapshot(self) -> Snapshot:
        """Returns the newest image whose faces are known, with its results, else the newest image.

        Leaves out a message that is invalid, says so, and counts it as refused.
        """
        images = tuple(self._messages[self._image]) if self._image else ()
        faces = tuple(self._messages["faces"])
        known = {_rounded(stamp) for stamp, _ in faces}
        with_faces = [one for one in images if _rounded(one[0]) in known]
        chosen = (with_faces or images or faces or ((0.0, b""),))[-1]
        found = Snapshot(chosen[0], chosen[1] if images else b"")
        for topic, kind in _KINDS.items():
            near = [
                one
                for one in tuple(self._messages[topic])
                if -_SAME <= chosen[0] - one[0] <= (_SAME if topic == "faces" else _HOLD)
            ]
            if near:
                with self._refusing():
                    message = read_message(near[-1][1], kind.message_type)
                    found.results[topic] = kind.read(message, self._refuse)
        return found

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            self._refuse(error)

    def read_image(self, image: bytes) -> Any:
        """Returns the message Image or CompressedImage of a snapshot; None if it is invalid."""
        try:
            return read_message(image, self._topics.kinds[self._image])
        except InputError as error:
            self._refuse(error)
            return None

    def _refuse(self, error: ValueError) -> None:
        self._node.count("refused")
        self._node.warn_throttled(str(error), key="refused")

    def _check(self, topic: str, publisher: Any) -> None:
        """Raises LookupError if a topic has another type than the one that is read from it."""
        wanted = self._types[topic]
        if message_class(publisher.topic_type) not in wanted:
            names = " or ".join(one.__name__ for one in wanted)
            raise LookupError(
                f"its type is {publisher.topic_type}, not {names}: remap it to a topic of that type"
            )

    def _keep(self, topic: str, data: bytes) -> None:
        now = time.monotonic()
        if topic == _DIAGNOSTICS:
            for status in read_message(data, DiagnosticArray).status:
                if status.hardware_id == "face_perception":
                    self.diagnostics[status.name] = status, now
        elif topic == self._session_topic:
            self._session = now, read_message(data, msg.SessionStatus)
        else:
            self._node.count("input")
            if topic == self._image or self._names[topic] == "faces":
                self._received = now
            self._messages[self._names.get(topic, topic)].append((header_stamp(data), data))


def _rounded(stamp: float) -> float:
    """Returns a stamp in steps of ``_SAME``; NaN, which equals nothing, without a stamp."""
    return round(stamp / _SAME) if math.isfinite(stamp) else math.nan
