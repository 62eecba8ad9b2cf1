"""Records the images of a session as JPEG, if asked with the faces made unrecognisable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy.serialization import serialize_message

from face_perception.nodes.session.topic_recording import add_topic
from face_perception.ros import images, messages, result_kinds
from face_perception.ros.image_input import ImageInput
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import StampJoin
from face_perception.sessions import (
    Cover,
    FacePixelation,
    SessionRecorder,
    TopicQos,
    highest_rate,
    pixelate,
)
from face_perception.types import Face

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode
    from face_perception.ros.image_input import ImageParameters

_KIND = "sensor_msgs/msg/CompressedImage"
_WAIT = 1.0  # seconds for the faces of an image
_QUEUE = 8  # images that wait for the worker: several may be due at once


@dataclass(frozen=True)
class _Recorded:
    """An image for the recording of one session; no ``cover``: it is recorded as it is."""

    recorder: SessionRecorder
    image: Any
    cover: Cover | None


class VideoRecording:
    """The images of a node. Make it in the ``start`` of the node; ``begin`` and ``end`` a session.

    Pixelated images are recorded only if the faces in them are known: without a face tracker, none
    is. They wait for the faces that are found later (``FacePixelation``): those that wait when the
    session ends are not recorded. Large images are recorded at a lower rate, so that those that
    wait fit in the memory. They go into the topic of the images with ``/compressed``, so
    that `run` reads them.
    """

    def __init__(self, node: PerceptionNode[Any], values: ImageParameters) -> None:
        self._node = node
        self._recorder: SessionRecorder | None = None
        self._mode = "off"
        self._rate = self._lowest = 0.0
        self._worker = node.worker(self._record, waiting=_QUEUE)
        self._input = ImageInput(
            node,
            self._on_image,
            compressed=values.compressed,
            reliability=values.qos,
            wanted=lambda: self._mode != "off",
            info=False,
        )
        self._faces = node.subscribe(
            result_kinds.FACES,
            "faces",
            self._on_faces,
            depth=10,
            hint="start face_tracker: without it no pixelated video can be made",
            wanted=lambda: self._mode == "pixelated",
        )
        self.topic = f"{self._input.topic.removesuffix('/compressed')}/compressed"

    @property
    def status(self) -> str:
        """What is wrong with the video; empty if nothing is, or if none is wanted."""
        return "; ".join(filter(None, (self._input.status, self._faces.status, self._slower)))

    @property
    def _slower(self) -> str:
        if self._lowest >= self._rate or self._mode != "pixelated":
            return ""
        return (
            f"the video has {self._lowest:.2g} instead of {self._rate:g} images a second: images "
            "wait for the faces that are found later, and more of this size need too much memory; "
            "record image/compressed (compressed:=true), smaller images, or video full"
        )

    def begin(self, recorder: SessionRecorder, mode: str, rate: float) -> None:
        """Starts to record; ``mode`` is off, pixelated or full, ``rate`` in Hz."""
        self._last = -1.0  # stamp of the last image, seconds
        self._lowest = rate  # Hz: lower than asked for large images
        self._join = StampJoin("image", _WAIT)
        self._pixelation = FacePixelation[Any]()
        self._rate = rate
        if mode != "off":
            add_topic(recorder, self.topic, _KIND, TopicQos(reliable=True, depth=1))
        self._recorder, self._mode = recorder, mode

    def end(self) -> None:
        """Stops recording."""
        self._recorder, self._mode = None, "off"

    def _on_image(self, message: Any) -> None:
        if self._recorder is None:
            return  # it was on its way when the session ended
        stamp = messages.seconds(message.header.stamp)
        rate = self._rate
        if self._mode == "pixelated":
            rate = min(rate, highest_rate(len(message.data), _WAIT))
            self._lowest = min(self._lowest, rate)
        # Images that come a little early count as in time.
        if 0 <= stamp - self._last < 0.9 / rate:
            return
        self._last = stamp
        if self._mode == "full":
            self._hand_over(message, None)
        else:
            self._add("image", message)

    def _on_faces(self, faces: Result[Face]) -> None:
        self._add("faces", faces)
        for image, cover in self._pixelation.found(
            messages.seconds(faces.header.stamp), faces.values
        ):
            self._hand_over(image, cover)

    def _add(self, key: str, item: Any) -> None:
        stamp = messages.nanoseconds(item.header.stamp)
        for _, group in self._join.add(key, stamp, item, frozenset({"faces"})):
            image = group["image"]
            # Without faces, nobody knows where they are.
            if "faces" not in group or not self._pixelation.put(
                messages.seconds(image.header.stamp), image, len(image.data)
            ):
                self._node.count("dropped")

    def _hand_over(self, message: Any, cover: Cover | None) -> None:
        # The image belongs to the session of now. When the worker takes it, the next session may
        # have begun, which may want its faces pixelated.
        if (recorder := self._recorder) is not None:
            item = _Recorded(recorder, message, cover)
            self._node.count("dropped" if self._worker.put(item) else "input")

    def _record(self, item: _Recorded) -> None:
        image = self._input.pixels(item.image)
        if image is None:
            return
        if item.cover is not None:
            image = pixelate(image, item.cover)
        out = images.to_compressed(image)
        out.header = item.image.header
        now = self._node.get_clock().now().nanoseconds
        item.recorder.put(self.topic, now, serialize_message(out))
