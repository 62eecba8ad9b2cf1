"""gaze node: faces to gaze. The geometric estimator needs no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from face_perception import msg
from face_perception.gaze import GeometricGaze
from face_perception.nodes import messages
from face_perception.nodes.driver import PerceptionNode, run
from face_perception.nodes.parameters import parameter, settings
from face_perception.nodes.qos import SensorSubscription


@dataclass(frozen=True)
class GazeParameters:
    """Parameters of the gaze node."""

    model: str = parameter(
        "geometric", "Estimator: `geometric` (from landmarks).", choices=("geometric",)
    )
    blink_level: float = parameter(
        0.75,
        "Share of its usual openness below which an eye says nothing; the last gaze is held.",
        minimum=0.0,
        maximum=1.0,
    )
    max_turn: float = parameter(
        1.05,
        "Turn of the head against the line of sight beyond which no eye is used, rad.",
        minimum=0.0,
        maximum=1.57,
    )
    min_cutoff: float = parameter(
        1.0,
        "Smoothing (one-euro) of a still gaze, Hz; less is smoother.",
        minimum=0.01,
        maximum=100.0,
    )
    beta: float = parameter(
        3.0,
        "How fast the smoothing yields to movement; more is faster.",
        minimum=0.0,
        maximum=100.0,
    )
    max_gap: float = parameter(
        0.5,
        "Time without a face after which its smoothing begins anew, s.",
        minimum=0.0,
        maximum=60.0,
    )


class GazeNode(PerceptionNode[GazeParameters]):
    """Reads ``faces``, publishes ``gaze``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("gaze", GazeParameters, **kwargs)
        self._count = 0
        self._input: SensorSubscription | None = None

    def setup(self) -> None:
        self._estimator = GeometricGaze(**settings(self.values, without=("model",)))
        self._gaze = self.publisher(msg.GazeArray, "gaze")

    def start(self) -> None:
        self._input = SensorSubscription(
            self,
            msg.FaceArray,
            "faces",
            self.guarded(self._received),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=lambda: self.heard(self._gaze),
        )

    def stop(self) -> None:
        if self._input is not None:
            self._input.destroy()
            self._input = None

    def report(self) -> tuple[str, dict[str, str]]:
        return (
            self._input.status if self._input else "",
            {"faces": str(self._count), "model": self.values.model},
        )

    def _received(self, message: Any) -> None:
        self.count("input")
        faces, camera = messages.faces_from_msg(message)
        stamp = messages.seconds(message.header.stamp)
        gazes = [self._estimator.estimate(camera, face, stamp) for face in faces]
        self._estimator.keep([face.id for face in faces])
        self._count = len(faces)
        out = msg.GazeArray(
            header=message.header, gazes=[messages.gaze_to_msg(gaze) for gaze in gazes]
        )
        self.publish(self._gaze, out, message.header)


def main(args: list[str] | None = None) -> int:
    return run(GazeNode, args)
