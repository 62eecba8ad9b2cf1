"""The attention node: publishes what each face attends to, from faces and gaze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from face_perception import msg
from face_perception.attention import AttentionSettings, AttentionTracker
from face_perception.ros import messages
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.node_process import run
from face_perception.ros.stamp_join import StampJoin
from face_perception.settings import setting


@dataclass(frozen=True)
class AttentionParameters(AttentionSettings):
    """Parameters of the attention node."""

    gaze_wait: float = setting(
        0.1,
        "Longest wait for the gaze of an image. After that the head pose is used instead. A larger "
        "value delays attention while the gaze is late.",
        minimum=0.0,
        maximum=1.0,
        unit="s",
    )


class AttentionNode(PerceptionNode[AttentionParameters]):
    """Reads ``faces`` and ``gaze``, publishes ``attention``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("attention", AttentionParameters, **kwargs)
        self._count = 0

    def setup(self) -> None:
        self._tracker = AttentionTracker(self.values)
        self._guarded_update = self.guarded(self._update)
        self._join = StampJoin("faces", self.values.gaze_wait)
        self._attention = self.publisher(msg.AttentionArray, "attention")

    def start(self) -> None:
        self._faces = self.subscribe(
            msg.FaceArray,
            "faces",
            lambda message: self._on_message("faces", message),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=lambda: self.has_subscribers(self._attention),
        )
        self._gaze = self.subscribe(
            msg.GazeArray,
            "gaze",
            lambda message: self._on_message("gaze", message),
            depth=10,
            expected=False,
            wanted=lambda: self.has_subscribers(self._attention),
        )

    def change_values(self, values: AttentionParameters) -> None:
        self._tracker.change_settings(values)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        source = "gaze" if self._expected() else "head pose: gaze has no publisher"
        return self._faces.status, {"faces": str(self._count), "source": source}

    def _expected(self) -> frozenset[str]:
        """Returns the topics other than ``faces`` whose message about an image the node awaits."""
        return frozenset({"gaze"} if self._gaze.published else ())

    def _on_message(self, key: str, message: Any) -> None:
        if key == "faces":
            self.count("input")
        stamp = messages.nanoseconds(message.header.stamp)
        for _, group in self._join.add(key, stamp, message, self._expected()):
            self._guarded_update(group)

    def _update(self, group: dict[str, Any]) -> None:
        faces, _ = messages.faces_from_msg(group["faces"])
        gazes = {}
        if "gaze" in group:
            gazes = {g.face_id: messages.gaze_from_msg(g) for g in group["gaze"].gazes}
        header = group["faces"].header
        attention = self._tracker.update(messages.seconds(header.stamp), faces, gazes)
        self._count = len(attention)
        out = msg.AttentionArray(
            header=header, attention=[messages.attention_to_msg(item) for item in attention]
        )
        self.publish(self._attention, out, header)


def main(args: list[str] | None = None) -> int:
    return run(AttentionNode, args)
