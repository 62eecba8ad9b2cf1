"""affect node: faces to action units, and their aligned crops to expression, valence, arousal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from face_perception import msg
from face_perception.affect import (
    ExpressionNet,
    LandmarkActionUnits,
    SmoothExpressions,
    derive_valence_arousal,
)
from face_perception.nodes import messages, networks
from face_perception.nodes.driver import PerceptionNode, run
from face_perception.nodes.parameters import parameter
from face_perception.nodes.qos import SensorSubscription
from face_perception.nodes.worker import LatestWorker


@dataclass(frozen=True)
class AffectParameters(networks.NetworkParameters):
    """Parameters of the affect node."""

    model: str = parameter("expression", "Model card of the expression network.")
    expression_smoothing: float = parameter(
        0.5,
        "Time constant of the smoothing of expression probabilities, s; 0: none.",
        minimum=0.0,
        maximum=60.0,
    )


class AffectNode(PerceptionNode[AffectParameters]):
    """Reads ``faces`` for ``action_units``, ``face_crops`` for the other two."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("affect", AffectParameters, **kwargs)
        self._count = 0
        self._faces: SensorSubscription | None = None
        self._crops: SensorSubscription | None = None
        self._worker: LatestWorker[Any] | None = None

    def setup(self) -> None:
        values = self.values
        self._network = networks.Loading(self).load(values.model)
        self._expressions_of = ExpressionNet(self._network)
        self._smooth = SmoothExpressions(values.expression_smoothing)
        self._units_of = LandmarkActionUnits()
        self._units = self.publisher(msg.ActionUnitsArray, "action_units")
        self._expressions = self.publisher(msg.ExpressionArray, "expressions")
        self._affects = self.publisher(msg.ValenceArousalArray, "valence_arousal")

    def start(self) -> None:
        self._worker = LatestWorker("affect", self._express, self.failed)
        self._faces = SensorSubscription(
            self,
            msg.FaceArray,
            "faces",
            self.guarded(self._move),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=lambda: self.heard(self._units),
        )
        self._crops = SensorSubscription(
            self,
            msg.FaceCrops,
            "face_crops",
            self._on_crops,
            depth=2,
            hint="start face_tracker, or remap the topic to its `face_crops`",
            wanted=lambda: self.heard(self._expressions, self._affects),
        )

    def stop(self) -> None:
        for subscription in (self._faces, self._crops):
            if subscription is not None:
                subscription.destroy()
        self._faces = self._crops = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def report(self) -> tuple[str, dict[str, str]]:
        fallen, models = networks.report([self._network])
        statuses = (s.status for s in (self._faces, self._crops) if s is not None)
        problems = [problem for problem in (*statuses, fallen) if problem]
        return "; ".join(problems), {"faces": str(self._count), **models}

    def _move(self, message: Any) -> None:
        self.count("input faces")
        faces, _ = messages.faces_from_msg(message)
        stamp = messages.seconds(message.header.stamp)
        units = [self._units_of.estimate(face, stamp) for face in faces]
        self._units_of.keep([face.id for face in faces])
        self._count = len(faces)
        out = msg.ActionUnitsArray(
            header=message.header, faces=[messages.action_units_to_msg(u) for u in units]
        )
        self.publish(self._units, out, message.header)

    def _on_crops(self, message: Any) -> None:
        self.count("input face_crops")
        if self._worker is not None and self._worker.put(message):
            self.count("dropped")

    def _express(self, message: Any) -> None:
        crops = messages.crops_from_msg(message)
        stamp = messages.seconds(message.header.stamp)
        expressions = self._smooth(self._expressions_of.estimate(crops), stamp)
        out = msg.ExpressionArray(
            header=message.header, faces=[messages.expression_to_msg(e) for e in expressions]
        )
        self.publish(self._expressions, out, message.header)
        affects = [derive_valence_arousal(e) for e in expressions]
        self.publish(
            self._affects,
            msg.ValenceArousalArray(
                header=message.header, faces=[messages.valence_arousal_to_msg(a) for a in affects]
            ),
            message.header,
        )


def main(args: list[str] | None = None) -> int:
    return run(AffectNode, args)
