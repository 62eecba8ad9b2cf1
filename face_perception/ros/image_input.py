"""The image subscriptions of a node: raw or compressed images, and camera_info."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import types
from face_perception.faces import check_distortion_model
from face_perception.media import BitDepth
from face_perception.ros import images, messages
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


# Nanoseconds that stamps must go back for a new beginning, such as a bag that starts again. Drivers
# and networks swap images that are some frames apart.
_NEW_BEGINNING = 1_000_000_000
# So many images in a row that are older than the newest are a new beginning, too: a bag of less
# than a second that starts again, or a clock that was set back.
_OLDER_IN_A_ROW = 30


class ImageOrder:
    """Finds images that are older than an image before. Times are in nanoseconds.

    >>> order = ImageOrder()
    >>> [order.step_back(stamp) for stamp in (5_000_000_000, 4_900_000_000, 5_100_000_000)]
    [0, 100000000, 0]
    """

    def __init__(self) -> None:
        self._newest: int | None = None
        self._older = 0

    def step_back(self, stamp: int) -> int:
        """Returns by how much an image is too old to be used; 0 if it is used.

        An image is used if it is not older than the newest image before, or if it is a new
        beginning: see ``_NEW_BEGINNING`` and ``_OLDER_IN_A_ROW``.
        """
        back = 0 if self._newest is None else self._newest - stamp
        self._older = self._older + 1 if back > 0 else 0
        if 0 < back < _NEW_BEGINNING and self._older < _OLDER_IN_A_ROW:
            return back
        self._newest, self._older = stamp, 0
        return 0


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
                return images.from_compressed(message)
            bits = self._depth.bits
            image = images.to_array(message, self._depth)
            if self._depth.bits != bits and self._depth.bits < 16:
                self._node.get_logger().info(
                    f"{self._images.topic}: {message.encoding} images use {self._depth.bits} of "
                    "their 16 bits, which become 8"
                )
            return image
        except images.ImageError as error:
            self._node.count("refused")
            self._node.warn_throttled(f"{self._images.topic}: {error}", key="image refused")
            return None

    def _camera_for(self, width: int, height: int) -> types.Camera:
        info = self._info
        if info is not None:
            try:
                camera = messages.camera_from_msg(info)
                check_distortion_model(camera)
                # Some drivers set roi or binning, but K, width and height for the images.
                for known in (camera, messages.sensor_from_msg(info)):
                    if (known.width, known.height) == (width, height):
                        return known
                self._node.warn_throttled(
                    f"{self._info_topic} is for {_size_of(info)} images, but the images are "
                    f"{width}x{height}: assuming focal length = image width; remap camera_info to "
                    "the topic of this camera",
                    key="camera_info size",
                )
            except ValueError as error:
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


def _size_of(info: CameraInfo) -> str:
    """Returns the size of the images of a CameraInfo in words, with what it was computed from."""
    camera = messages.camera_from_msg(info)
    size, sensor = f"{camera.width}x{camera.height}", f"{info.width}x{info.height}"
    return size if size == sensor else f"{size} (of {sensor}, by its roi and binning)"
