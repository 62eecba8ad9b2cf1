"""overlay node: draws what the other nodes found onto the image, only while somebody watches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from face_perception import inference, msg, overlay, types
from face_perception.ros import images, messages
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.image_input import ImageInput, ImageParameters
from face_perception.ros.join import Newest, Pace, StampJoin
from face_perception.ros.process import run
from face_perception.ros.qos import SensorSubscription
from face_perception.ros.worker import LatestWorker
from face_perception.settings import setting


@dataclass(frozen=True)
class OverlayParameters(ImageParameters):
    """Parameters of the overlay node."""

    wait: float = setting(
        0.15,
        "Longest wait for the results of an image. Only faces, and results that came within this "
        "time for most of the last images, are waited for; a slow network does not hold up the "
        "overlay. A larger value shows more results of the same image, later.",
        minimum=0.0,
        maximum=0.5,
        unit="s",
    )
    hold: float = setting(
        1.5,
        "If an image has no result for a face, the newest result up to this age is drawn. A larger "
        "value draws older results. 0: only results of the image itself.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )


# By topic.
_RESULTS: dict[str, type[Any]] = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "motion_affect": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
}
# What is kept of them, by topic.
_VALUES: dict[str, Callable[[Any], Any]] = {
    "gaze": messages.gaze_from_msg,
    "action_units": messages.action_units_from_msg,
    "expressions": messages.expression_from_msg,
    "valence_arousal": messages.valence_arousal_from_msg,
    "motion_affect": messages.valence_arousal_from_msg,
    "attention": messages.attention_from_msg,
}
# Nanoseconds: a clock that goes back by more is another one; and for so long after a picture with
# faces none is drawn without, for those are images that the tracker left out, and would flicker.
_BACK, _BARE = 1_000_000_000, 500_000_000


class OverlayNode(PerceptionNode[OverlayParameters]):
    """Reads ``image`` and every result, publishes ``overlay`` and ``overlay/compressed``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("overlay", OverlayParameters, **kwargs)
        self._input: ImageInput | None = None
        self._results: dict[str, SensorSubscription] = {}
        self._worker: LatestWorker[dict[str, Any]] | None = None

    def setup(self) -> None:
        self._join = StampJoin("image", self.values.wait)
        self._pace = Pace("image", self.values.wait)
        self._newest = Newest[tuple[str, str, str], Any](self.values.hold)
        self._stamp = 0
        self._with_faces = -_BARE
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
            "draws": ", ".join(sorted(self._published())),
            "waits for": ", ".join(sorted(self._expected())),
        }

    def _published(self) -> set[str]:
        return {topic for topic, found in self._results.items() if found.published}

    def _expected(self) -> frozenset[str]:
        """What a picture waits for beside the image: faces, without which nothing has its place,
        and what is quick.
        """
        return self._pace.kept() | (self._published() & {"faces"})

    def _on_image(self, message: Any) -> None:
        self.count("input")
        self._received("image", message)

    def _received(self, key: str, message: Any) -> None:
        stamp = messages.nanoseconds(message.header.stamp)
        if self._join.outdated(key, stamp):
            return
        if key == "image":
            if stamp < self._stamp - _BACK:
                self._pace.clear()
                self._newest.clear()
            self._stamp = stamp
        elif key != "faces":
            for item in messages.listed(message):
                # Only action units may be of two sources at once.
                source = item.source if key == "action_units" else ""
                try:
                    value = _VALUES[key](item)
                except ValueError as error:  # of whoever: the others are drawn
                    self.count("refused")
                    self.complain(f"{self._results[key].topic}: {error}", key=f"{key} refused")
                    continue
                self._newest.add((key, item.face_id, source), stamp, value)
        self._pace.add(key, stamp)
        for at, group in self._join.add(key, stamp, message, self._expected()):
            if "faces" in group:
                self._with_faces = at
            elif 0 <= at - self._with_faces < _BARE:
                self.count("dropped")
                continue
            known: dict[str, Any] = {k: group[k] for k in ("image", "faces") if k in group}
            for (topic, *_), item in sorted(self._newest.at(at).items(), key=lambda kept: kept[0]):
                known.setdefault(topic, []).append(item)
            if self._worker is not None and self._worker.put(known):
                self.count("dropped")

    def _draw(self, known: dict[str, Any]) -> None:
        """``known``: the messages image and faces of one stamp, and by topic the values to draw."""
        if self._input is None:
            return
        message = known["image"]
        frame = self._input.decode(message)
        if frame is None:
            return
        faces: list[types.Face] = []
        camera = frame.camera
        if "faces" in known:
            faces, camera = messages.faces_from_msg(known["faces"])
        picture = overlay.draw(
            frame.image,
            camera,
            faces,
            gazes=known.get("gaze", ()),
            action_units=known.get("action_units", ()),
            expressions=known.get("expressions", ()),
            valence_arousal=[*known.get("valence_arousal", ()), *known.get("motion_affect", ())],
            attention=known.get("attention", ()),
            note=_note(known),
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


def _note(known: dict[str, Any]) -> str:
    """What is drawn but means nothing, by the cards of the networks that said it."""
    sources = {
        str(item.source) for topic in _RESULTS if topic != "faces" for item in known.get(topic, ())
    }
    untrained = ", ".join(sorted(source for source in sources if not _trained(source)))
    return f"{untrained}: {inference.UNTRAINED}" if untrained else ""


@functools.cache
def _trained(source: str) -> bool:
    """Whether as far as this machine knows: what is no network, or has no card here, counts so."""
    try:
        return inference.find_card(source).trained
    except inference.ModelError:
        return True


def main(args: list[str] | None = None) -> int:
    return run(OverlayNode, args)
