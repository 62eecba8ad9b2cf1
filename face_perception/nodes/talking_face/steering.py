"""Subscribes to the topics that set the expression and the gaze of the talking face."""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped
from std_msgs.msg import String

from face_perception import msg, types
from face_perception.avatar import Performer, direction_to
from face_perception.errors import one_line, shortened
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.tf_frames import Frames
from face_perception.types import FloatArray

# Values of the parameter ``follow``, and the topic of the attention node with the id of the face.
FOLLOWED = {"speaker": "speaker", "look_at": "look_at_id"}


@dataclass(frozen=True, slots=True)
class _Place:
    """A point [3] in a frame without a known transform yet; ``since`` is in monotonic seconds."""

    point: FloatArray
    frame: str
    since: float


class Steering:
    """Passes expressions and gaze targets from topics to ``performer``.

    Reads avatar/expression, avatar/valence_arousal, avatar/look_at and avatar/look_at_face,
    robot_face/expression where hri_msgs is installed, and ``faces`` while it looks at one of them.
    With a ``follow`` that is a key of ``FOLLOWED``, also the ids of faces on that topic.
    Messages that cannot be followed are counted as refused and logged.

    - ``eyes``: position of the displayed eyes in the camera's optical frame, metres.
    - ``camera_frame``: name of that frame. Points in other frames are transformed with tf2, which
      is subscribed to at the first such point; the face looks there as soon as the transform is
      known.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        performer: Performer,
        eyes: tuple[float, ...],
        camera_frame: str,
        follow: str = "",
    ) -> None:
        self._node, self._performer, self.eyes = node, performer, eyes
        self._frame, self._frames = camera_frame, Frames(node)
        self._face_id = ""
        self._face_since: float | None = None  # monotonic; None once seen or reported as missing
        self._ids: list[str] = []  # faces of the last message on ``faces``
        self._pending: _Place | None = None  # waits for its transform
        self._looking = False
        self._told_at = time.monotonic()
        node.on_end(self._frames.destroy)
        for kind, topic, callback in (
            (String, "avatar/expression", self._on_expression),
            (msg.ValenceArousal, "avatar/valence_arousal", self._on_affect),
            (PointStamped, "avatar/look_at", self._on_point),
            (String, "avatar/look_at_face", self._on_face_id),
        ):
            node.subscribe(kind, topic, callback, depth=10, expected=False)
        if importlib.util.find_spec("hri_msgs") is not None:
            kind = importlib.import_module("hri_msgs.msg").Expression
            topic = "robot_face/expression"
            node.subscribe(kind, topic, self._on_hri_expression, depth=10, expected=False)
        if follow in FOLLOWED:
            node.subscribe_latched(String, FOLLOWED[follow], self._on_face_id)
        node.subscribe(
            msg.FaceArray,
            "faces",
            self._on_faces,
            depth=1,
            expected=False,
            wanted=lambda: bool(self._face_id),
        )

    def release_stale_target(self, after: float) -> None:
        """Looks at the viewer again if there was no news of the target for ``after`` seconds.

        Call it a few times per second.
        """
        now = time.monotonic()
        if self._pending is not None:
            self._look_from(self._pending, patience=after)
        if self._looking and now - self._told_at > after:
            self._looking = False
            self._performer.look_at(0.0, 0.0)
        if self._face_since is not None and now - self._face_since > after:
            self._face_since = None
            seen = ", ".join(self._ids) or "none"
            self._refuse(
                f"look_at_face: no face on the topic faces has the id "
                f"{shortened(self._face_id)}; the ids "
                f"there: {one_line(seen)}",
                "face",
            )

    def _refuse(self, text: str, key: str) -> None:
        self._node.count("refused")
        self._node.warn_throttled(text, key=key)

    def _on_expression(self, message: String) -> None:
        self._show_expression(message.data)

    def _show_expression(self, wanted: str) -> None:
        """Shows the expression of a name; empty: neutral."""
        name = wanted.strip().lower()
        if name and name not in types.EXPRESSIONS:
            known = ", ".join(types.EXPRESSIONS)
            self._refuse(
                f"unknown expression {shortened(wanted)}: use one of {known}", "expression"
            )
            return
        shares = [float(name == other) for other in types.EXPRESSIONS] if name else None
        self._performer.set_expression(shares)

    def _on_affect(self, message: msg.ValenceArousal) -> None:
        self._show_affect(message.valence, message.arousal)

    def _show_affect(self, valence: float, arousal: float) -> None:
        if not (abs(valence) <= 1 and abs(arousal) <= 1):
            self._refuse(
                f"valence {valence:.2f} and arousal {arousal:.2f} must each be in [-1, 1]", "affect"
            )
            return
        self._performer.set_valence_arousal(valence, arousal)

    def _on_hri_expression(self, message: Any) -> None:
        """Shows a hri_msgs/Expression: its category, or valence and arousal if it has none."""
        if message.expression:
            self._show_expression(message.expression)
        else:
            self._show_affect(message.valence, message.arousal)

    def _on_point(self, message: PointStamped) -> None:
        self._forget_face()
        place = message.point
        point = np.array([place.x, place.y, place.z])
        # A message without a frame is in the camera's.
        frame = message.header.frame_id or self._frame
        before = self._pending
        # All points of a stream have been waiting since the first one.
        since = before.since if before and before.frame == frame else time.monotonic()
        self._look_from(_Place(point, frame, since))

    def _look_from(self, place: _Place, patience: float = math.inf) -> None:
        self._pending = None
        try:
            x, y, z = self._frames.transformed(place.point, place.frame, self._frame)
        except LookupError as error:
            if self._frames.listening and time.monotonic() - place.since <= patience:
                self._pending = place
                return
            self._refuse(
                f"look_at: a point in the frame {shortened(place.frame)} cannot be transformed to "
                f"{self._frame!r} (camera_frame): {one_line(error)}",
                f"look_at {shortened(place.frame)}",
            )
            return
        self._look((float(x), float(y), float(z)))

    def _on_face_id(self, message: String) -> None:
        if message.data == self._face_id:
            return
        self._forget_face()
        self._pending = None
        if message.data:
            self._face_id, self._face_since = message.data, time.monotonic()

    def _forget_face(self) -> None:
        self._face_id, self._face_since, self._ids = "", None, []

    def _on_faces(self, message: msg.FaceArray) -> None:
        self._ids = [face.face_id for face in message.faces]
        for face in message.faces:
            if face.face_id == self._face_id:
                self._face_since = None
                if not face.head_pose_valid:
                    self._refuse(
                        f"look_at_face: {face.face_id} has no valid head pose on the topic faces",
                        f"pose of {face.face_id}",
                    )
                    continue
                place = face.head_pose.position
                self._look((place.x, place.y, place.z))

    def _look(self, point: tuple[float, float, float]) -> None:
        try:
            yaw, pitch = direction_to(point, self.eyes)
        except ValueError as error:
            self._refuse(f"look_at: {error}", "look_at")
            return
        self._looking, self._told_at = True, time.monotonic()
        self._performer.look_at(yaw, pitch)
