"""affect node: faces to action units, and their aligned crops to expression, valence, arousal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from face_perception import msg
from face_perception.affect import (
    SMOOTHING,
    BlendshapesNet,
    ExpressionNet,
    ExpressionSettings,
    ExpressionSmoother,
    FaceAffect,
    LandmarkActionUnits,
    MultitaskSequence,
    RateLimitedExpressions,
    SequenceSettings,
    derive_valence_arousal,
    load_multitask,
)
from face_perception.inference import NetworkSettings
from face_perception.nodes.affect.neutral_service import NeutralService
from face_perception.ros import messages
from face_perception.ros import network_parameters as networks
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.process import run
from face_perception.ros.qos import SensorSubscription
from face_perception.ros.worker import LatestWorker
from face_perception.settings import setting
from face_perception.types import ActionUnits, Expression, ValenceArousal

# Images that may wait for a recurrent network, which all that it leaves out looks like motion to;
# for others the newest only.
_WAITING = 3


@dataclass(frozen=True)
class _Networks(NetworkSettings):
    model: str = setting(
        "expression",
        "Model card. `expression`, or `expression_fer`, which needs less computing time and is "
        "less accurate (valence and arousal are derived from either). `multitask` or "
        "`multitask_rnn`: action units, expression, valence and arousal; `face-perception import` "
        "makes them.",
    )
    action_units: str = setting(
        "network",
        "Source of action units. network: the model if it estimates them, else landmarks. "
        "landmarks: landmarks only. both: separate messages from the model and from landmarks.",
        choices=("network", "landmarks", "both"),
    )
    blendshapes: bool = setting(
        False,
        "Estimate the 52 ARKit blendshapes and publish them as `blendshapes`. They also serve as "
        "evidence for action unit 4 of the landmarks, and add action unit 17.",
    )


@dataclass(frozen=True)
class AffectParameters(SequenceSettings, ExpressionSettings, _Networks):
    """Parameters of the affect node."""


class AffectNode(PerceptionNode[AffectParameters]):
    """Reads ``faces`` for the action units of landmarks, ``face_crops`` for what networks say."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("affect", AffectParameters, **kwargs)
        self._count = 0
        self._neutral: NeutralService | None = None
        self._faces: SensorSubscription | None = None
        self._crops: SensorSubscription | None = None
        self._worker: LatestWorker[Any] | None = None

    def setup(self) -> None:
        values = self.values
        load = networks.Loading(self).load
        network = load(values.model)
        self._multitask = load_multitask(network, load, values)
        self._models = tuple(self._multitask.models) if self._multitask else (network,)
        # Which sources of action units there are.
        self._by_network = self._multitask is not None and values.action_units != "landmarks"
        self._by_landmarks = not self._by_network or values.action_units == "both"
        smoothing = values.expression_smoothing
        if smoothing < 0:
            smoothing = 0.0 if self._multitask else SMOOTHING
        self._smooth = ExpressionSmoother(smoothing)
        if self._multitask is None:
            self._expressions_of = RateLimitedExpressions(
                ExpressionNet(network), self._smooth, values.expression_rate
            )
        self._units_of = LandmarkActionUnits()
        self._neutral = NeutralService(self, self._units_of) if self._by_landmarks else None
        self._shapes_of: BlendshapesNet | None = None
        self._shapes: Any = None
        if values.blendshapes:
            shapes = load("blendshapes")
            self._models = (*self._models, shapes)
            self._shapes_of = BlendshapesNet(shapes)
            self._shapes = self.publisher(msg.BlendshapesArray, "blendshapes")
        self._units = self.publisher(msg.ActionUnitsArray, "action_units")
        self._expressions = self.publisher(msg.ExpressionArray, "expressions")
        self._affects = self.publisher(msg.ValenceArousalArray, "valence_arousal")

    def start(self) -> None:
        sequence = self._multitask if isinstance(self._multitask, MultitaskSequence) else None
        self._worker = LatestWorker(
            "affect",
            self._express,
            self.failed,
            waiting=_WAITING if sequence else 1,
            on_idle=self._finish if sequence else None,
        )
        if sequence:
            sequence.reset()
        self._faces = SensorSubscription(
            self,
            msg.FaceArray,
            "faces",
            self.guarded(self._move),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=self._wants_faces,
        )
        self._crops = SensorSubscription(
            self,
            msg.FaceCrops,
            "face_crops",
            self._on_crops,
            depth=_WAITING,
            hint="start face_tracker, or remap the topic to its `face_crops`",
            wanted=lambda: (
                self.heard(self._expressions, self._affects)
                or (self._by_network and self.heard(self._units))
            ),
        )

    def stop(self) -> None:
        for subscription in (self._faces, self._crops):
            if subscription is not None:
                subscription.destroy()
        self._faces = self._crops = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def release(self) -> None:
        if self._neutral is not None:
            self._neutral.destroy()
            self._neutral = None

    def report(self) -> tuple[str, dict[str, str]]:
        fallen, models = networks.report(self._models)
        statuses = (s.status for s in (self._faces, self._crops) if s is not None)
        problems = [problem for problem in (*statuses, fallen) if problem]
        return "; ".join(problems), {"faces": str(self._count), **models}

    def _move(self, message: Any) -> None:
        self.count("input faces")
        faces, _ = messages.faces_from_msg(message)
        stamp = messages.seconds(message.header.stamp)
        self._count = len(faces)
        shapes = self._shapes_of.estimate(faces) if self._shapes_of else []
        if self._shapes is not None:
            out = msg.BlendshapesArray(
                header=message.header, blendshapes=[messages.blendshapes_to_msg(s) for s in shapes]
            )
            self.publish(self._shapes, out, message.header)
        if self._by_landmarks:
            of = {found.face_id: found for found in shapes}
            units = [self._units_of.estimate(face, stamp, of.get(face.id)) for face in faces]
            self._units_of.keep([face.id for face in faces], stamp)
            self._send_units(message.header, units)

    def _wants_faces(self) -> bool:
        """Whether faces are needed: by a listener, or to keep a neutral that was set.

        Such a neutral lasts only while its face is followed.
        """
        by_landmarks = self._by_landmarks and (
            self.heard(self._units) or self._units_of.any_neutral_set
        )
        return by_landmarks or (self._shapes is not None and self.heard(self._shapes))

    def _on_crops(self, message: Any) -> None:
        self.count("input face_crops")
        if self._worker is not None and self._worker.put(message):
            self.count("dropped")
            if isinstance(self._multitask, MultitaskSequence):
                self.complain(
                    "images come faster than the recurrent network works on them, and some are "
                    f"left out, which looks like motion: set threads (now {self.values.threads}) "
                    "higher, the camera's rate lower, or use multitask",
                    key="slow",
                )

    def _express(self, message: Any) -> None:
        header = message.header
        crops = messages.crops_from_msg(message)
        stamp = messages.seconds(header.stamp)
        self._count = len(crops)
        if self._multitask is None:
            expressions = self._expressions_of.estimate(crops, stamp)
            self._send(header, expressions, [derive_valence_arousal(e) for e in expressions])
        elif isinstance(self._multitask, MultitaskSequence):
            for about, found in self._multitask.estimate(header, stamp, crops):
                self._send_found(about, found)
        else:
            self._send_found(header, self._multitask.estimate(crops))

    def _finish(self) -> None:
        """Lets out what a look-ahead keeps, once no more images come."""
        assert isinstance(self._multitask, MultitaskSequence)
        for header, found in self._multitask.finish():
            self._send_found(header, found)

    def _send_found(self, header: Any, found: Sequence[FaceAffect]) -> None:
        expressions = self._smooth([f.expression for f in found], messages.seconds(header.stamp))
        self._send(header, expressions, [f.valence_arousal for f in found])
        if self._by_network:
            self._send_units(header, [f.units for f in found])

    def _send(
        self, header: Any, expressions: Sequence[Expression], affects: Sequence[ValenceArousal]
    ) -> None:
        out = msg.ExpressionArray(
            header=header, expressions=[messages.expression_to_msg(e) for e in expressions]
        )
        self.publish(self._expressions, out, header)
        out = msg.ValenceArousalArray(
            header=header, values=[messages.valence_arousal_to_msg(a) for a in affects]
        )
        self.publish(self._affects, out, header)

    def _send_units(self, header: Any, units: Sequence[ActionUnits]) -> None:
        out = msg.ActionUnitsArray(
            header=header, action_units=[messages.action_units_to_msg(u) for u in units]
        )
        self.publish(self._units, out, header)


def main(args: list[str] | None = None) -> int:
    return run(AffectNode, args)
