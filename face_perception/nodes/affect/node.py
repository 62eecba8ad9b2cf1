"""The affect node: publishes action units, expression, valence and arousal of faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from face_perception.affect import (
    AFFECT_NETWORKS,
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
    load_appearance,
    load_multitask,
)
from face_perception.inference import NetworkSettings
from face_perception.nodes.affect.latest_appearance import LatestAppearance
from face_perception.nodes.affect.neutral_service import NeutralService
from face_perception.person_ids import PersonIds
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.network_loading import NetworkLoader, network_diagnostics
from face_perception.ros.result_kinds import Result
from face_perception.settings import setting
from face_perception.types import ActionUnits, Expression, Face, FaceCrop, ValenceArousal

# Images that may wait for a recurrent network, to which a dropped image looks like motion. For
# other networks only the newest waits.
_WAITING = 3


@dataclass(frozen=True)
class _Networks(NetworkSettings):
    model: str = setting(
        "expression",
        "Model card. `expression`: the default. `expression_fer`: faster and less accurate. Both "
        "estimate expressions, and valence and arousal are derived from these. `multitask` and "
        "`multitask_rnn` also estimate action units; `face-perception import` makes them. `import "
        "onnx` makes a card of your own expression network, with or without valence and arousal.",
    )
    action_units: str = setting(
        "network",
        "Source of action units. network: the model if it estimates them, else landmarks. "
        "landmarks: landmarks only. both: separate messages from landmarks and from the model.",
        choices=("network", "landmarks", "both"),
    )
    appearance: bool = setting(
        True,
        "Action units of landmarks also count what the bundled model `small_action_units` sees in "
        "the image of the face. It adds units 6 and 9, makes 1, 2, 4, 15, 20 and 26 more accurate, "
        "and gives 1, 2, 4, 15 and 20 a value before the neutral face is known. Needs about 0.3 ms "
        "of CPU time for each face and image. false: landmarks only.",
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
    """Reads ``faces`` for the action units of landmarks, and ``face_crops`` for networks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("affect", AffectParameters, **kwargs)
        self._count = 0

    def setup(self) -> None:
        values = self.values
        load = NetworkLoader(self).load
        network = load(values.model, AFFECT_NETWORKS)
        self._multitask = load_multitask(network, load, values)
        self._models = tuple(self._multitask.models) if self._multitask else (network,)
        self._by_network = self._multitask is not None and values.action_units != "landmarks"
        self._by_landmarks = not self._by_network or values.action_units == "both"
        self._appearance: LatestAppearance | None = None
        if self._by_landmarks and values.appearance:
            self._appearance = LatestAppearance(load_appearance(threads=values.threads))
        self._smooth = ExpressionSmoother(self._smoothing(values))
        if self._multitask is None:
            self._expressions_of = RateLimitedExpressions(
                ExpressionNet(network), self._smooth, values.expression_rate
            )
        self._units_of = LandmarkActionUnits(appearance=self._appearance is not None)
        if self._by_landmarks:
            NeutralService(self, self._units_of)
        self._shapes_of: BlendshapesNet | None = None
        self._shapes: Any = None
        if values.blendshapes:
            shapes = load("blendshapes")
            self._models = (*self._models, shapes)
            self._shapes_of = BlendshapesNet(shapes)
            self._shapes = self.publisher(result_kinds.BLENDSHAPES, "blendshapes")
        self._units = self.publisher(result_kinds.ACTION_UNITS, "action_units")
        self._expressions = self.publisher(result_kinds.EXPRESSIONS, "expressions")
        self._affects = self.publisher(result_kinds.VALENCE_AROUSAL, "valence_arousal")

    def start(self) -> None:
        sequence = self._multitask if isinstance(self._multitask, MultitaskSequence) else None
        if sequence:
            sequence.reset()
        # Of the faces and of their crops, which are read on two threads.
        self._face_persons, self._crop_persons = PersonIds(), PersonIds()
        self._worker = self.worker(
            self._estimate,
            waiting=_WAITING if sequence else 1,
            on_idle=self._publish_last if sequence else None,
        )
        self._faces = self.subscribe(
            result_kinds.FACES,
            "faces",
            self._on_faces,
            depth=10,
            wanted=self._wants_faces,
        )
        self._crops = self.subscribe(
            result_kinds.FACE_CROPS,
            "face_crops",
            self._on_crops,
            depth=_WAITING,
            wanted=self._wants_crops,
        )

    def _smoothing(self, values: AffectParameters) -> float:
        if values.expression_smoothing < 0:
            return 0.0 if self._multitask else SMOOTHING
        return values.expression_smoothing

    def without_effect(self, values: AffectParameters) -> Iterable[tuple[str, Iterable[str]]]:
        if not isinstance(self._multitask, MultitaskSequence):
            yield f"model {values.model} is not recurrent", ("window", "look_ahead", "max_gap")
        if self._multitask is not None:
            yield f"model {values.model} is a multitask network", ("expression_rate",)

    def change_values(self, values: AffectParameters) -> None:
        self._smooth.change_time_constant(self._smoothing(values))
        if self._multitask is None:
            self._expressions_of.change_rate(values.expression_rate)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        fallback, models = network_diagnostics(self._models)
        problems = (self._faces.status, self._crops.status, fallback)
        return "; ".join(filter(None, problems)), {"faces": str(self._count), **models}

    def _on_faces(self, result: Result[Face]) -> None:
        self.count("input faces")
        faces, header = result.values, result.header
        stamp = messages.seconds(header.stamp)
        self._count = len(faces)
        self._face_persons.note(faces)
        shapes = self._shapes_of.estimate(faces) if self._shapes_of else []
        if self._shapes is not None:
            named = self._face_persons.named(shapes)
            self.publish(self._shapes, Result(header, named), header)
        if self._by_landmarks:
            of = {found.face_id: found for found in shapes}
            seen = self._appearance.at(stamp) if self._appearance else {}
            units = [
                self._units_of.estimate(
                    face,
                    stamp,
                    of.get(face.face_id),
                    look.appearance if (look := seen.get(face.face_id)) else None,
                    mouth_seen=look is None or look.mouth_seen,
                )
                for face in faces
            ]
            self._units_of.keep([face.face_id for face in faces], stamp)
            self._publish_units(header, self._face_persons.named(units))

    def _wants_faces(self) -> bool:
        """Returns whether faces are needed, by a subscriber or to keep a neutral face.

        A neutral face that was set lasts only while its face is tracked.
        """
        by_landmarks = self._by_landmarks and (
            self.has_subscribers(self._units) or self._units_of.any_neutral_set
        )
        return by_landmarks or (self._shapes is not None and self.has_subscribers(self._shapes))

    def _wants_crops(self) -> bool:
        return self.has_subscribers(self._expressions, self._affects) or (
            (self._by_network or self._appearance is not None) and self.has_subscribers(self._units)
        )

    def _on_crops(self, crops: Result[FaceCrop]) -> None:
        self.count("input face_crops")
        if self._worker.put(crops):
            self.count("dropped")
            if isinstance(self._multitask, MultitaskSequence):
                self.warn_throttled(
                    "images arrive faster than the recurrent network runs, and dropped images look "
                    f"like motion: increase threads (now {self.values.threads}), reduce the "
                    "camera's rate, or set model to multitask",
                    key="slow",
                )

    def _estimate(self, result: Result[FaceCrop]) -> None:
        header, crops = result.header, result.values
        stamp = messages.seconds(header.stamp)
        self._count = len(crops)
        self._crop_persons.note(crops)
        if self._appearance is not None and self.has_subscribers(self._units):
            self._appearance.see(stamp, crops)
        if self._multitask is None:
            found = self._expressions_of.estimate_affect(crops, stamp)
            self._publish_affect(header, [e for e, _ in found], [affect for _, affect in found])
        elif isinstance(self._multitask, MultitaskSequence):
            for about, results in self._multitask.estimate(header, stamp, crops):
                self._publish_multitask(about, results)
        else:
            self._publish_multitask(header, self._multitask.estimate(crops))

    def _publish_last(self) -> None:
        """Publishes the estimates that a look-ahead holds back, when no more images arrive."""
        assert isinstance(self._multitask, MultitaskSequence)
        for header, found in self._multitask.finish():
            self._publish_multitask(header, found)

    def _publish_multitask(self, header: Any, found: Sequence[FaceAffect]) -> None:
        expressions = self._smooth([f.expression for f in found], messages.seconds(header.stamp))
        self._publish_affect(header, expressions, [f.valence_arousal for f in found])
        if self._by_network:
            self._publish_units(header, self._crop_persons.named([f.units for f in found]))

    def _publish_affect(
        self, header: Any, expressions: Sequence[Expression], affects: Sequence[ValenceArousal]
    ) -> None:
        persons = self._crop_persons
        self.publish(self._expressions, Result(header, persons.named(expressions)), header)
        self.publish(self._affects, Result(header, persons.named(affects)), header)

    def _publish_units(self, header: Any, units: Sequence[ActionUnits]) -> None:
        self.publish(self._units, Result(header, units), header)
