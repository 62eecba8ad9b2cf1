"""What the talking face is told besides speech: what to feel, and where to look."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped
from std_msgs.msg import String

from face_perception import msg, types
from face_perception.avatar import Performer, direction_to
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.qos import SensorSubscription
from face_perception.ros.tf_frames import Frames
from face_perception.types import FloatArray


@dataclass(frozen=True, slots=True)
class _Place:
    """A point [3] of a frame that there is no transform from yet; ``since``: monotonic seconds."""

    point: FloatArray
    frame: str
    since: float


class Steering:
    """Reads avatar/expression, avatar/valence_arousal, avatar/look_at and avatar/look_at_face, and
    ``faces`` while it looks at one of them; tells ``performer``. What cannot be is refused.

    ``eyes``: where the eyes on the screen are, in the camera's optical frame, metres;
    ``camera_frame`` is the name of that frame. Points of other frames are transformed by tf2, which
    listens from the first of them on: it is looked at as soon as the transform is known.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        performer: Performer,
        eyes: tuple[float, ...],
        camera_frame: str,
    ) -> None:
        self._node, self._performer, self._eyes = node, performer, eyes
        self._frame, self._frames = camera_frame, Frames(node)
        self._face_id = ""
        self._face_since: float | None = None  # monotonic; None once seen or said to be missing
        self._ids: list[str] = []  # who the last ``faces`` shows
        self._waits: _Place | None = None
        self._looking = False
        self._told_at = time.monotonic()
        self._subscriptions = [
            self._subscribe(String, "avatar/expression", self._on_expression),
            self._subscribe(msg.ValenceArousal, "avatar/valence_arousal", self._on_affect),
            self._subscribe(PointStamped, "avatar/look_at", self._on_point),
            self._subscribe(String, "avatar/look_at_face", self._on_face_id),
            SensorSubscription(
                node,
                msg.FaceArray,
                "faces",
                node.guarded(self._on_faces),
                depth=1,
                expected=False,
                wanted=lambda: bool(self._face_id),
            ),
        ]

    def release_stale_target(self, after: float) -> None:
        """Looks at the viewer again where nothing was told of a target for ``after`` seconds; to be
        called a few times a second.
        """
        now = time.monotonic()
        if self._waits is not None:
            self._look_from(self._waits, patience=after)
        if self._looking and now - self._told_at > after:
            self._looking = False
            self._performer.look_at(0.0, 0.0)
        if self._face_since is not None and now - self._face_since > after:
            self._face_since = None
            seen = ", ".join(self._ids) or "nobody"
            self._refuse(
                f"look_at_face: nobody on faces has the id {self._face_id!r}; seen there: {seen}",
                f"face {self._face_id}",
            )

    def destroy(self) -> None:
        self._frames.destroy()
        for subscription in self._subscriptions:
            subscription.destroy()

    def _subscribe(self, kind: type[Any], topic: str, received: Any) -> SensorSubscription:
        node = self._node
        return SensorSubscription(
            node, kind, topic, node.guarded(received), depth=10, expected=False
        )

    def _refuse(self, text: str, key: str) -> None:
        self._node.count("refused")
        self._node.complain(text, key=key)

    def _on_expression(self, message: String) -> None:
        name = message.data.strip().lower()
        if name and name not in types.EXPRESSIONS:
            self._refuse(
                f"there is no expression {message.data!r}: use one of "
                f"{', '.join(types.EXPRESSIONS)}",
                "expression",
            )
            return
        wish = [float(name == other) for other in types.EXPRESSIONS] if name else None
        self._performer.set_expression(wish)

    def _on_affect(self, message: msg.ValenceArousal) -> None:
        valence, arousal = message.valence, message.arousal
        if not (abs(valence) <= 1 and abs(arousal) <= 1):
            self._refuse(
                f"valence {valence:.2f} and arousal {arousal:.2f} must each be in [-1, 1]", "affect"
            )
            return
        self._performer.set_valence_arousal(valence, arousal)

    def _on_point(self, message: PointStamped) -> None:
        self._forget_face()
        place = message.point
        point = np.array([place.x, place.y, place.z])
        # Without a name it is the camera's.
        frame = message.header.frame_id or self._frame
        before = self._waits
        # One of a stream of points has waited as long as the first.
        since = before.since if before and before.frame == frame else time.monotonic()
        self._look_from(_Place(point, frame, since))

    def _look_from(self, place: _Place, patience: float = math.inf) -> None:
        self._waits = None
        try:
            x, y, z = self._frames.transformed(place.point, place.frame, self._frame)
        except LookupError as error:
            if self._frames.listening and time.monotonic() - place.since <= patience:
                self._waits = place
                return
            self._refuse(
                f"look_at: a point in {place.frame!r}, but {self._frame!r} (camera_frame) is "
                f"expected: {error}",
                f"look_at {place.frame}",
            )
            return
        self._look((float(x), float(y), float(z)))

    def _on_face_id(self, message: String) -> None:
        if message.data == self._face_id:
            return
        self._forget_face()
        self._waits = None
        if message.data:
            self._face_id, self._face_since = message.data, time.monotonic()

    def _forget_face(self) -> None:
        self._face_id, self._face_since, self._ids = "", None, []

    def _on_faces(self, message: msg.FaceArray) -> None:
        self._ids = [face.id for face in message.faces]
        for face in message.faces:
            if face.id == self._face_id:
                self._face_since = None
                if not face.head_pose_valid:
                    self._refuse(
                        f"look_at_face: {face.id} has no head pose on faces (head_pose_valid)",
                        f"pose of {face.id}",
                    )
                    continue
                place = face.head_pose.position
                self._look((place.x, place.y, place.z))

    def _look(self, point: tuple[float, float, float]) -> None:
        try:
            yaw, pitch = direction_to(point, self._eyes)
        except ValueError as error:
            self._refuse(f"look_at: {error}", "look_at")
            return
        self._looking, self._told_at = True, time.monotonic()
        self._performer.look_at(yaw, pitch)
