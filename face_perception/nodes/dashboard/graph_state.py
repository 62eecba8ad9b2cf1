"""Keeps the newest messages of the graph unread, and reads those that the page shows."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
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
_KEPT = 64  # messages of each topic
_DEPTH = 8  # messages of a topic that wait
# Results and images that wait for the next update. An image is found with its faces if it still
# waits when they arrive, so these are the images that a camera takes during the lag of the faces.
_WAITING = 4
_WAITING_LATE = 32  # the same once faces and images were found to miss each other
_LARGEST_WAITING = 128_000_000  # bytes of the images that wait
_MISSES = 2  # updates without a new image that has faces, after which more may wait
_HOLD = 1.5  # seconds for which an older result is shown with a newer image
_IMAGES = 8  # raw images are large
_SAME = 1e-6  # seconds between two stamps of one image
SILENT = 2.0  # seconds without a message after which a topic of a camera counts as silent


@dataclass
class Snapshot:
    """What is known about one image. ``results`` are by topic.

    ``image`` is the message unread, empty without an image; ``GraphState.read_image`` reads it.

    ``stamp`` is in seconds, NaN if the image has none. ``lag`` is by how many seconds the faces are
    older than the image: 0 if they are of this image, NaN if one of them has no stamp or is absent.
    """

    stamp: float
    image: bytes
    results: dict[str, Result[Any]] = field(default_factory=dict)
    lag: float = math.nan


class GraphState:
    """The topics that the dashboard of ``node`` reads.

    Call ``look`` now and then, or ``end``, and ``take`` on the same thread before a ``snapshot``.

    ``image`` is the image topic (its full name), empty for no picture.
    """

    def __init__(self, node: PerceptionNode[Any], image: str) -> None:
        self._node, self.image = node, image
        self._names = {node.resolve_topic_name(topic): topic for topic in _KINDS}
        self._messages: dict[str, deque[tuple[float, bytes]]] = {
            **{topic: deque(maxlen=_KEPT) for topic in _KINDS},
            image: deque(maxlen=_IMAGES),
        }
        self._session_topic = node.resolve_topic_name(_SESSION)
        self._session: tuple[float, Any] | None = None  # when it was received, and the message
        # By the name of a node: its status, and when that was received (monotonic, seconds).
        self.diagnostics: dict[str, tuple[DiagnosticStatus, float]] = {}
        # When the last image and the last faces came (monotonic, seconds).
        self._image_at = self._faces_at = time.monotonic()
        self._misses = 0
        self._waiting = _WAITING
        self._paired: tuple[float, bytes] | None = None  # the last image that was found with faces
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
            on_demand=dict.fromkeys((*self._names, image), _WAITING),
            found=self._check,
        )

    def look(self) -> None:
        """Subscribes to what has publishers now."""
        self._topics.look()

    def take(self) -> None:
        """Receives the newest results, and images up to that of the newest faces."""
        before = self._image_at, self._faces_at
        for full in self._names:
            self._topics.take(full)
        faces = self._messages["faces"]
        newest = faces[-1][0] if faces and self.faces_silence < SILENT else math.nan
        self._topics.take(self.image, lambda data: header_stamp(data) >= newest - _SAME)
        if self._image_at > before[0] and self._faces_at > before[1]:
            self._notice_misses()

    def _notice_misses(self) -> None:
        """Lets more messages wait if no new image has come together with its faces."""
        paired = self._with_faces(self._messages[self.image])
        self._misses = self._misses + 1 if paired is None or paired is self._paired else 0
        self._paired = paired
        if self._misses < _MISSES or self._waiting == _WAITING_LATE:
            return
        size = max(1, len(self._messages[self.image][-1][1]))
        self._let_wait(_WAITING_LATE, max(_WAITING, min(_WAITING_LATE, _LARGEST_WAITING // size)))

    def _let_wait(self, results: int, images: int) -> None:
        self._waiting, self._misses = results, 0
        for full in self._names:
            self._topics.set_waiting(full, results)
        self._topics.set_waiting(self.image, images)

    def _with_faces(self, images: Iterable[tuple[float, bytes]]) -> tuple[float, bytes] | None:
        """Returns the newest image whose faces are known."""
        stamps = (stamp for stamp, _ in tuple(self._messages["faces"]))
        known = {_rounded(stamp) for stamp in stamps if math.isfinite(stamp)}
        return next((one for one in reversed([*images]) if _rounded(one[0]) in known), None)

    def end(self) -> None:
        """Ends all subscriptions, and forgets what was received."""
        self._topics.end()
        for messages in self._messages.values():
            messages.clear()
        self._session = self._paired = None
        self._let_wait(_WAITING, _WAITING)
        self._image_at = self._faces_at = time.monotonic()
        self.diagnostics.clear()

    @property
    def session(self) -> tuple[Any, float]:
        """The last SessionStatus, None without a session node, and its age in seconds."""
        if (found := self._session) is None:
            return None, 0.0
        received, status = found
        return status, time.monotonic() - received

    @property
    def image_silence(self) -> float:
        """Seconds since the last image; 0 if none is shown."""
        return time.monotonic() - self._image_at if self.image else 0.0

    @property
    def faces_silence(self) -> float:
        """Seconds since the last faces."""
        return time.monotonic() - self._faces_at

    @property
    def problem(self) -> str:
        """Why topics are left out; empty if none is."""
        return "; ".join(self._topics.problems.values())

    def snapshot(self) -> Snapshot:
        """Returns the newest image whose faces are known, with its results.

        If no image has its faces, returns the newest image and the newest results, unless one of
        them is silent. Leaves out a message that is invalid, says so, and counts it as refused.
        """
        images = tuple(self._messages[self.image]) if self.image else ()
        faces = tuple(self._messages["faces"])
        chosen = self._with_faces(images)
        # If both are silent, the last image stays, and the page says for how long.
        silent = self.image_silence > SILENT, self.faces_silence > SILENT
        if images and faces and silent[0] and not silent[1]:
            images, chosen = (), None
        elif images and faces and silent[1] and not silent[0]:
            faces, chosen = (), None
        if chosen is not None:
            found, at = Snapshot(*chosen, lag=0.0), chosen[0]
        else:
            nothing = math.nan, b""
            newest, shown = (faces or (nothing,))[-1][0], (images or (nothing,))[-1]
            found = Snapshot(shown[0] if images else newest, shown[1], lag=shown[0] - newest)
            at = newest
        for topic, kind in _KINDS.items():
            near = [
                one
                for one in tuple(self._messages[topic])
                if -_SAME <= at - one[0] <= (_SAME if topic == "faces" else _HOLD)
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
            return read_message(image, self._topics.kinds[self.image])
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
            if topic == self.image:
                self._image_at = now
            elif self._names[topic] == "faces":
                self._faces_at = now
            self._messages[self._names.get(topic, topic)].append((header_stamp(data), data))


def _rounded(stamp: float) -> float:
    """Returns a stamp in steps of ``_SAME``; NaN without a stamp."""
    return round(stamp / _SAME) if math.isfinite(stamp) else math.nan
