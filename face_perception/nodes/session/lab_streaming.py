"""Sends the numbers of faces to Lab Streaming Layer, and takes markers from there."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from face_perception.markers import Marker
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import Newest
from face_perception.sessions import LabStreams, StreamedFace, check_marker
from face_perception.types import Attention

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_HOLD = 0.5  # seconds for which the last gaze or VA of a face is sent again
_LOOK = 0.05  # seconds between two looks for markers
_SEARCH = 20  # looks between two searches for streams
_NAN = float("nan")


class LabStreaming:
    """Streams of a node. Make it in the ``start`` of the node.

    ``mark`` is called on a thread for each marker of another program. Raises
    MissingDependencyError without pylsl.
    """

    def __init__(
        self, node: PerceptionNode[Any], name: str, mark: Callable[[Marker], None]
    ) -> None:
        self._node, self._mark = node, mark
        self._streams = LabStreams(name)
        node.on_end(self._streams.close)
        self._newest = Newest[tuple[str, str], Any](_HOLD)
        for topic, kind in (
            ("gaze", result_kinds.GAZES),
            ("valence_arousal", result_kinds.VALENCE_AROUSAL),
        ):
            node.subscribe(
                kind, topic, functools.partial(self._keep, topic), depth=10, expected=False
            )
        node.subscribe(
            result_kinds.ATTENTION,
            "attention",
            self._send,
            depth=10,
            hint="start attention: without it no numbers are sent to Lab Streaming Layer",
        )
        node.thread(self._listen)

    def send_marker(self, marker: Marker) -> None:
        """Sends a marker that did not come from another stream."""
        self._streams.send_marker(marker.label, self._node.ros_seconds() - marker.stamp)

    def _keep(self, topic: str, result: Result[Any]) -> None:
        stamp = messages.nanoseconds(result.header.stamp)
        for value in result.values:
            self._newest.add((topic, value.face_id), stamp, value)

    def _send(self, attention: Result[Attention]) -> None:
        stamp = attention.header.stamp
        known = self._newest.at(messages.nanoseconds(stamp))
        faces = [
            _streamed(
                item,
                known.get(("gaze", item.face_id)),
                known.get(("valence_arousal", item.face_id)),
            )
            for item in attention.values
        ]
        self._streams.send_faces(faces, self._node.ros_seconds() - messages.seconds(stamp))

    def _listen(self, stop: threading.Event) -> None:
        looks = 0
        while not stop.wait(_LOOK):
            if looks % _SEARCH == 0:
                for name in self._streams.find():
                    self._node.get_logger().info(f"markers of the stream {name} are taken")
            looks += 1
            refused = self._streams.refused
            markers = self._streams.markers()
            if self._streams.refused > refused:
                self._node.count("refused")
                self._node.warn_throttled(
                    "a marker of Lab Streaming Layer was not taken: its text must be UTF-8, and "
                    "its time a number",
                    key="lsl marker",
                )
            for found in markers:
                label = "".join(c if c.isprintable() else " " for c in found.label)[:200]
                try:
                    check_marker(label)
                except ValueError:  # an empty sample
                    continue
                stamp = self._node.ros_seconds() - found.age
                self._mark(Marker(stamp, label, f"lsl {found.stream}"))


def _streamed(item: Attention, gaze: Any, affect: Any) -> StreamedFace:
    return StreamedFace(
        face=StreamedFace.number(item.face_id),
        gaze_yaw=gaze.yaw if gaze else _NAN,
        gaze_pitch=gaze.pitch if gaze else _NAN,
        gaze_valid=float(gaze.valid) if gaze else 0.0,
        eye_contact=float(item.eye_contact),
        looks_at_robot=float(item.looking_at_robot),
        valence=float(affect.valence) if affect else _NAN,
        arousal=float(affect.arousal) if affect else _NAN,
    )
