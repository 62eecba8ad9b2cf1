"""attention node: faces and gaze to who attends to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from face_perception import msg
from face_perception.attention import AttentionTracker
from face_perception.ros import messages
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.join import StampJoin
from face_perception.ros.parameters import parameter, settings
from face_perception.ros.process import run
from face_perception.ros.qos import SensorSubscription


@dataclass(frozen=True)
class AttentionParameters:
    """Parameters of the attention node."""

    robot_point: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0),
        "What people look at when they look at the robot: its eyes, in the camera's optical frame, "
        "metres.",
        length=3,
    )
    robot_radius: float = parameter(
        0.06,
        "A look that ends within this distance of robot_point is a look at the robot, m. At most 4 "
        "degrees as seen from the eyes.",
        minimum=0.001,
        maximum=10.0,
    )
    face_radius: float = parameter(
        0.1,
        "A look that ends within this distance of the midpoint of a face's eyes is a look at that "
        "face, m. At most 4 degrees as seen from the eyes.",
        minimum=0.001,
        maximum=10.0,
    )
    robot_prior: float = parameter(
        0.5,
        "Prior: share of the time that people look at the robot.",
        minimum=0.001,
        maximum=0.99,
    )
    face_prior: float = parameter(
        0.2,
        "Prior: share of the time that people look at one of the other faces, if there are any. "
        "The sum with robot_prior must be below 1.",
        minimum=0.001,
        maximum=0.99,
    )
    enter_probability: float = parameter(
        0.5,
        "A target counts as looked at from this probability on. With 0.5, a quarter of the people "
        "who look elsewhere in press photographs count as looking at the robot.",
        minimum=0.01,
        maximum=1.0,
    )
    leave_probability: float = parameter(
        0.3,
        "The target no longer counts as looked at below this probability.",
        minimum=0.01,
        maximum=1.0,
    )
    head_sigma: float = parameter(
        0.26,
        "Standard deviation of the angle between head and gaze, for faces without a valid gaze, "
        "rad.",
        minimum=0.01,
        maximum=1.57,
    )
    enter_time: float = parameter(
        0.15, "How long a target must be looked at before it counts, s.", minimum=0.0, maximum=60.0
    )
    leave_time: float = parameter(
        0.4,
        "How long it must be left before it no longer counts, s; longer than a blink.",
        minimum=0.0,
        maximum=60.0,
    )
    max_distance: float = parameter(
        3.0, "Who is farther from the robot is not engaged, m.", minimum=0.0, maximum=100.0
    )
    engage_time: float = parameter(1.0, "From engaging to engaged, s.", minimum=0.0, maximum=600.0)
    disengage_time: float = parameter(
        2.0, "From disengaging to disengaged, s.", minimum=0.0, maximum=600.0
    )
    forget_time: float = parameter(
        1.0, "For how long a face that is not seen keeps its state, s.", minimum=0.0, maximum=600.0
    )
    gaze_wait: float = parameter(
        0.1,
        "Longest wait for the gaze of a frame, seconds; then the head pose stands in.",
        minimum=0.0,
        maximum=1.0,
    )


class AttentionNode(PerceptionNode[AttentionParameters]):
    """Reads ``faces`` and ``gaze``, publishes ``attention``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("attention", AttentionParameters, **kwargs)
        self._count = 0
        self._faces: SensorSubscription | None = None
        self._gaze: SensorSubscription | None = None

    def setup(self) -> None:
        self._tracker = AttentionTracker(**settings(self.values, without=("gaze_wait",)))
        self._attend = self.guarded(self._update)
        self._join = StampJoin("faces", self.values.gaze_wait)
        self._attention = self.publisher(msg.AttentionArray, "attention")

    def start(self) -> None:
        self._faces = SensorSubscription(
            self,
            msg.FaceArray,
            "faces",
            lambda message: self._received("faces", message),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=lambda: self.heard(self._attention),
        )
        self._gaze = SensorSubscription(
            self,
            msg.GazeArray,
            "gaze",
            lambda message: self._received("gaze", message),
            depth=10,
            expected=False,
            wanted=lambda: self.heard(self._attention),
        )

    def stop(self) -> None:
        for subscription in (self._faces, self._gaze):
            if subscription is not None:
                subscription.destroy()
        self._faces = self._gaze = None

    def report(self) -> tuple[str, dict[str, str]]:
        problem = self._faces.status if self._faces else ""
        source = "gaze" if self._expected() else "head pose: nobody publishes gaze"
        return problem, {"faces": str(self._count), "source": source}

    def _expected(self) -> frozenset[str]:
        """What an update waits for beside the faces."""
        return frozenset({"gaze"} if self._gaze is not None and self._gaze.published else ())

    def _received(self, key: str, message: Any) -> None:
        if key == "faces":
            self.count("input")
        stamp = messages.nanoseconds(message.header.stamp)
        for _, group in self._join.add(key, stamp, message, self._expected()):
            self._attend(group)

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
