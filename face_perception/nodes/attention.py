"""The attention node: publishes what each face attends to, from faces and gaze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from face_perception.attention import AttentionSettings, AttentionTracker
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.result_kinds import Result
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
        self._attention = self.publisher(result_kinds.ATTENTION, "attention")

    def start(self) -> None:
        self._faces = self.subscribe(
            result_kinds.FACES,
            "faces",
            lambda faces: self._add("faces", faces),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=lambda: self.has_subscribers(self._attention),
        )
        self._gaze = self.subscribe(
            result_kinds.GAZES,
            "gaze",
            lambda gazes: self._add("gaze", gazes),
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

    def _add(self, key: str, result: Result[Any]) -> None:
        if key == "faces":
            self.count("input")
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._join.add(key, stamp, result, self._expected()):
            self._guarded_update(group)

    def _update(self, group: dict[str, Result[Any]]) -> None:
        faces = group["faces"]
        gazes = {g.face_id: g for g in group["gaze"].values} if "gaze" in group else {}
        header = faces.header
        attention = self._tracker.update(messages.seconds(header.stamp), faces.values, gazes)
        self._count = len(attention)
        self.publish(self._attention, Result(header, attention), header)
