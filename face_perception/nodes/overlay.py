"""overlay node: draws what the other nodes found onto the image, only while somebody watches."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from face_perception import inference, msg, overlay, types
from face_perception.nodes import images, messages
from face_perception.nodes.driver import PerceptionNode, run
from face_perception.nodes.image_input import ImageInput
from face_perception.nodes.join import StampJoin
from face_perception.nodes.parameters import parameter
from face_perception.nodes.qos import RELIABILITY, SensorSubscription
from face_perception.nodes.worker import LatestWorker


@dataclass(frozen=True)
class OverlayParameters:
    """Parameters of the overlay node."""

    wait: float = parameter(
        0.15,
        "Longest wait for the results of a frame, seconds; then it is drawn without them.",
        minimum=0.0,
        maximum=5.0,
    )
    qos: str = parameter(
        "auto",
        "Reliability of the image subscription; auto: reliable where every publisher offers it.",
        choices=RELIABILITY,
    )
    compressed: bool = parameter(False, "Read image/compressed instead of image.")


# By topic.
_RESULTS: dict[str, type[Any]] = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
}


class OverlayNode(PerceptionNode[OverlayParameters]):
    """Reads ``image`` and every result, publishes ``overlay`` and ``overlay/compressed``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("overlay", OverlayParameters, **kwargs)
        self._input: ImageInput | None = None
        self._results: dict[str, SensorSubscription] = {}
        self._worker: LatestWorker[dict[str, Any]] | None = None

    def setup(self) -> None:
        self._join = StampJoin("image", self.values.wait, limit=16)
        self._image = self.publisher(Image, "overlay", depth=1)
        self._compressed = self.publisher(CompressedImage, "overlay/compressed", depth=1)

    def start(self) -> None:
        self._worker = LatestWorker("overlay", self._draw, self.failed)

        def wanted() -> bool:
            return self.heard(self._image, self._compressed)

        self._input = ImageInput(
            self,
            self._on_image,
            compressed=self.values.compressed,
            reliability=self.values.qos,
            wanted=wanted,
        )
        self._results = {
            topic: SensorSubscription(
                self,
                message_type,
                topic,
                functools.partial(self._received, topic),
                depth=10,
                expected=False,
                wanted=wanted,
            )
            for topic, message_type in _RESULTS.items()
        }

    def stop(self) -> None:
        if self._input is not None:
            self._input.destroy()
            self._input = None
        for subscription in self._results.values():
            subscription.destroy()
        self._results = {}
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def report(self) -> tuple[str, dict[str, str]]:
        return self._input.status if self._input else "", {
            "draws": ", ".join(sorted(self._expected()))
        }

    def _expected(self) -> frozenset[str]:
        """What a picture waits for beside the image."""
        return frozenset(topic for topic, found in self._results.items() if found.published)

    def _on_image(self, message: Any) -> None:
        self.count("input")
        self._received("image", message)

    def _received(self, key: str, message: Any) -> None:
        stamp = messages.nanoseconds(message.header.stamp)
        for _, group in self._join.add(key, stamp, message, self._expected()):
            if self._worker is not None and self._worker.put(group):
                self.count("dropped")

    def _draw(self, group: dict[str, Any]) -> None:
        if self._input is None:
            return
        message = group["image"]
        frame = self._input.decode(message)
        if frame is None:
            return
        faces: list[types.Face] = []
        camera = frame.camera
        if "faces" in group:
            faces, camera = messages.faces_from_msg(group["faces"])
        picture = overlay.draw(
            frame.image,
            camera,
            faces,
            gazes=[messages.gaze_from_msg(g) for g in _items(group, "gaze", "gazes")],
            action_units=[
                messages.action_units_from_msg(a) for a in _items(group, "action_units", "faces")
            ],
            expressions=[
                messages.expression_from_msg(e) for e in _items(group, "expressions", "faces")
            ],
            valence_arousal=[
                messages.valence_arousal_from_msg(v)
                for v in _items(group, "valence_arousal", "faces")
            ],
            attention=[messages.attention_from_msg(a) for a in _items(group, "attention", "faces")],
            note=_note(group),
        )
        raw = self.heard(self._image)
        if raw:
            out = images.from_array(picture)
            out.header = message.header
            self.publish(self._image, out, message.header)
        if self.heard(self._compressed):
            jpeg = images.to_compressed(picture)
            jpeg.header = message.header
            self.publish(self._compressed, jpeg, None if raw else message.header)


def _note(group: dict[str, Any]) -> str:
    """What is drawn but means nothing, by the cards of the networks that said it."""
    fields = {"gaze": "gazes"}
    sources = {
        str(item.source)
        for topic in _RESULTS
        if topic != "faces"
        for item in _items(group, topic, fields.get(topic, "faces"))
    }
    untrained = ", ".join(sorted(source for source in sources if not _trained(source)))
    return f"{untrained}: {inference.UNTRAINED}" if untrained else ""


@functools.cache
def _trained(source: str) -> bool:
    """Whether as far as this machine knows: what is no network, or has no card here, counts so."""
    try:
        return inference.find(source).trained
    except inference.ModelError:
        return True


def _items(group: dict[str, Any], key: str, field: str) -> list[Any]:
    return list(getattr(group[key], field)) if key in group else []


def main(args: list[str] | None = None) -> int:
    return run(OverlayNode, args)
