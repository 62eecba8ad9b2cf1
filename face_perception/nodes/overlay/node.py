"""The overlay node: draws the results of the other nodes onto the image, or has viewers draw them.

A viewer such as RViz gets the results as markers, points and annotations; for these, no image is
read.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from face_perception import inference, overlay, types
from face_perception.nodes.overlay.viewer_topics import INPUTS, ViewerTopics
from face_perception.ros import images, messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.image_input import ImageInput, ImageParameters
from face_perception.ros.result_kinds import Result, ResultKind
from face_perception.ros.stamp_join import Newest, Pace, StampJoin
from face_perception.settings import setting


@dataclass(frozen=True)
class OverlayParameters(ImageParameters):
    """Parameters of the overlay node."""

    wait: float = setting(
        0.15,
        "Longest wait for the results of an image. The overlay does not wait for results that "
        "came later than this for most of the last images, so that a slow network does not delay "
        "it. A larger value shows more results of the same image, with more delay.",
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


# The topics of results and their kinds.
_RESULTS: dict[str, ResultKind[Any]] = {
    "faces": result_kinds.FACES,
    "gaze": result_kinds.GAZES,
    "action_units": result_kinds.ACTION_UNITS,
    "expressions": result_kinds.EXPRESSIONS,
    "valence_arousal": result_kinds.VALENCE_AROUSAL,
    "motion_affect": result_kinds.VALENCE_AROUSAL,
    "attention": result_kinds.ATTENTION,
}
_RESTARTED = 1_000_000_000  # nanoseconds that stamps must go back for a restarted bag
# Nanoseconds after an image with faces during which no image without faces is drawn: the tracker
# left that image out, and the overlay would flicker.
_FACES_HOLD = 500_000_000


class OverlayNode(PerceptionNode[OverlayParameters]):
    """Reads ``image`` and every result; publishes ``overlay``, and the topics of ViewerTopics."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("overlay", OverlayParameters, **kwargs)

    def setup(self) -> None:
        self._join = StampJoin("image", self.values.wait)
        self._pace = Pace("image", self.values.wait)
        self._newest = Newest[tuple[str, str, str], Any](self.values.hold)
        self._untrained = frozenset(
            name for name, card in inference.catalogue().items() if not card.trained
        )
        self._last_image = 0
        self._last_with_faces = -_FACES_HOLD
        self._image = self.publisher(Image, "overlay", depth=1)
        self._compressed = self.publisher(CompressedImage, "overlay/compressed", depth=1)
        self._viewers = ViewerTopics(self, self.values.wait)

    def start(self) -> None:
        self._worker = self.worker(self._draw)
        self._input = ImageInput(
            self,
            self._on_image,
            compressed=self.values.compressed,
            reliability=self.values.qos,
            wanted=self._wanted,
        )
        self._results = {
            topic: self.subscribe(
                kind,
                topic,
                functools.partial(self._on_result, topic),
                skip_invalid=True,  # the other values are drawn
                depth=10,
                expected=False,
                wanted=functools.partial(self._wants, topic),
            )
            for topic, kind in _RESULTS.items()
        }

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        return self._input.status, {
            "draws": ", ".join(sorted(self._published())),
            "waits for": ", ".join(sorted(self._expected())),
        }

    def _wanted(self) -> bool:
        return self.has_subscribers(self._image, self._compressed)

    def _wants(self, topic: str) -> bool:
        return self._wanted() or (topic in INPUTS and self._viewers.wanted())

    def _published(self) -> set[str]:
        return {topic for topic, found in self._results.items() if found.published}

    def _expected(self) -> frozenset[str]:
        """Returns the topics whose results the node waits for before it draws an image.

        They are ``faces``, which say where to draw, and the topics that usually come in time.
        """
        return self._pace.kept() | (self._published() & {"faces"})

    def _on_image(self, message: Any) -> None:
        self.count("input")
        self._add("image", message)

    def _on_result(self, topic: str, result: Result[Any]) -> None:
        if topic in INPUTS and self._viewers.wanted():
            self._viewers.add(topic, result, frozenset(self._published()))
        if self._wanted():
            self._add(topic, result)

    def _add(self, key: str, item: Any) -> None:
        """Adds an image, or the result of a topic."""
        stamp = messages.nanoseconds(item.header.stamp)
        if self._join.outdated(key, stamp):
            return
        if key == "image":
            if stamp < self._last_image - _RESTARTED:
                self._pace.clear()
                self._newest.clear()
            self._last_image = stamp
        elif key != "faces":
            for value in item.values:
                # Only action units come from two sources at once.
                source = value.source if key == "action_units" else ""
                self._newest.add((key, value.face_id, source), stamp, value)
        self._pace.add(key, stamp)
        for at, group in self._join.add(key, stamp, item, self._expected()):
            if "faces" in group:
                self._last_with_faces = at
            elif 0 <= at - self._last_with_faces < _FACES_HOLD:
                self.count("dropped")
                continue
            known: dict[str, Any] = {k: group[k] for k in ("image", "faces") if k in group}
            for (topic, *_), value in sorted(self._newest.at(at).items(), key=lambda kept: kept[0]):
                known.setdefault(topic, []).append(value)
            if self._worker.put(known):
                self.count("dropped")

    def _draw(self, known: dict[str, Any]) -> None:
        """Draws and publishes one image.

        ``known`` has the image (a message) and the faces (a result) of one stamp, and by topic the
        values to draw.
        """
        message = known["image"]
        frame = self._input.decode(message)
        if frame is None:
            return
        faces: Result[types.Face] = known.get("faces") or Result(message.header, ())
        picture = overlay.draw(
            frame.image,
            faces.camera or frame.camera,
            faces.values,
            gazes=known.get("gaze", ()),
            action_units=known.get("action_units", ()),
            expressions=known.get("expressions", ()),
            valence_arousal=[*known.get("valence_arousal", ()), *known.get("motion_affect", ())],
            attention=known.get("attention", ()),
            note=_note(known, self._untrained),
        )
        raw = self.has_subscribers(self._image)
        if raw:
            out = images.from_array(picture)
            out.header = message.header
            self.publish(self._image, out, message.header)
        if self.has_subscribers(self._compressed):
            jpeg = images.to_compressed(picture)
            jpeg.header = message.header
            self.publish(self._compressed, jpeg, None if raw else message.header)


def _note(known: dict[str, Any], untrained: Collection[str]) -> str:
    """Returns a note about results of networks with random weights; empty if no result has one.

    ``untrained`` are the names of these networks. A source is only compared with these names: it
    comes from the network, so it must not choose a file that is read.
    """
    found = {
        str(item.source) for topic in _RESULTS if topic != "faces" for item in known.get(topic, ())
    }
    shown = ", ".join(sorted(found.intersection(untrained)))
    return f"{shown}: {inference.UNTRAINED}" if shown else ""
