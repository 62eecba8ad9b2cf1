"""The image subscriptions of a node: raw or compressed images, and camera_info."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import types
from face_perception.camera_messages import is_rectified, usable_camera
from face_perception.errors import InputError
from face_perception.media import (
    BitDepth,
    ImageError,
    ImageOrder,
    image_from_compressed,
    image_from_message,
)
from face_perception.ros import messages
from face_perception.ros.qos import RELIABILITY
from face_perception.settings import setting

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


@dataclass(frozen=True)
class ImageParameters:
    """Parameters of a node that reads images."""

    qos: str = setting(
        "auto",
        "Reliability of the image subscription. auto: reliable if every publisher offers it, else "
        "best effort.",
        choices=RELIABILITY,
    )
    compressed: bool = setting(False, "Read image/compressed instead of image.")


class ImageInput:
    """Subscribes a node to ``image`` or ``image/compressed``, and to ``camera_info``.

    Make it in the ``start`` of the node. ``received(message)`` is called on the executor's thread
    for each image, except for images that are a little older than one before (``ImageOrder``).
    ``decode`` and ``pixels`` convert a message on any thread. Without ``info`` it does not read
    ``camera_info``; then use ``pixels`` only.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        received: Callable[[Any], None],
        *,
        compressed: bool,
        reliability: str,
        wanted: Callable[[], bool],
        depth: int = 1,
        info: bool = True,
    ) -> None:
        self._node = node
        self._info: CameraInfo | None = None
        self._camera: types.Camera | None = None
        self._received = received
        self._order = ImageOrder()
        self._depth = BitDepth()
        message_type, topic = (
            (CompressedImage, "image/compressed") if compressed else (Image, "image")
        )
        self._images = node.subscribe(
            message_type,
            topic,
            self._on_image,
            reliability=reliability,
            depth=depth,
            hint="start the camera, or remap the topic to where it publishes",
            wanted=wanted,
        )
        self._info_topic = node.resolve_topic_name("camera_info")
        if info:
            node.subscribe(
                CameraInfo,
                "camera_info",
                self._on_info,
                reliability=reliability,
                latched=True,  # a driver may send it once
                expected=False,
                wanted=wanted,
            )

    @property
    def status(self) -> str:
        """Returns why no images arrive; empty if they do."""
        return self._images.status

    @property
    def topic(self) -> str:
        """The full name of the image topic."""
        return self._images.topic

    def _on_image(self, message: Any) -> None:
        back = self._order.step_back(messages.nanoseconds(message.header.stamp))
        if not back:
            self._received(message)
            return
        self._node.count("input")
        self._node.count("dropped")
        self._node.warn_throttled(
            f"an image on {self._images.topic} is {back / 1e9:.3f} s older than the one before: "
            "dropped. If this happens often, correct the order or the stamps in the camera driver",
            key="older image",
        )

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def decode(self, message: Any) -> types.Frame | None:
        """Returns the Frame of a message, or None, with a warning, if the message is invalid."""
        image = self.pixels(message)
        if image is None:
            return None
        height, width = image.shape[:2]
        return types.Frame(
            image=image,
            stamp=messages.seconds(message.header.stamp),
            camera=self._camera_for(width, height),
            frame_id=message.header.frame_id,
        )

    def pixels(self, message: Any) -> types.Image | None:
        """Returns the image of a message, RGB uint8 [H, W, 3], or None, with a warning."""
        try:
            if isinstance(message, CompressedImage):
                return image_from_compressed(message)
            bits = self._depth.bits
            image = image_from_message(message, self._depth)
            if self._depth.bits != bits and self._depth.bits < 16:
                self._node.get_logger().info(
                    f"{self._images.topic}: {message.encoding} images use {self._depth.bits} of "
                    "their 16 bits, which become 8"
                )
            return image
        except ImageError as error:
            self._node.count("refused")
            self._node.warn_throttled(f"{self._images.topic}: {error}", key="image refused")
            return None

    def _camera_for(self, width: int, height: int) -> types.Camera:
        info = self._info
        if info is not None:
            try:
                return usable_camera(info, width, height, is_rectified(self.topic))
            except InputError as error:
                self._node.warn_throttled(
                    f"{self._info_topic}: {error}; assuming focal length = image width",
                    key="camera_info",
                )
        size_changed = False
        if self._camera is None or (self._camera.width, self._camera.height) != (width, height):
            self._camera = types.Camera.assume(width, height)
            size_changed = True
        if info is None:
            text = (
                f"no {self._info_topic}: assuming focal length = image width ({width}), so "
                "distances and angles are rough"
            )
            self._node.note_problem("no camera_info", text)
            # Throttled, because two cameras on one topic change the size with every image.
            if size_changed and self._node.should_log("no camera_info"):
                self._node.get_logger().warning(text)
        return self._camera
