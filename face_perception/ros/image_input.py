"""What nodes that read images share: raw or compressed, camera_info, and reasons for refusing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import types
from face_perception.faces import check_distortion_model
from face_perception.ros import images, messages
from face_perception.ros.qos import RELIABILITY, SensorSubscription
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
    """Subscribes to ``image`` or ``image/compressed`` and to ``camera_info``.

    ``received(message)`` is called on the executor's thread for each image; ``decode`` turns one
    into a Frame on whatever thread works on it. Without ``info`` there is no ``camera_info``, for
    those who know the camera from elsewhere and read ``pixels`` alone.
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
        message_type, topic = (
            (CompressedImage, "image/compressed") if compressed else (Image, "image")
        )
        self._images = SensorSubscription(
            node,
            message_type,
            topic,
            received,
            reliability=reliability,
            depth=depth,
            hint="start the camera, or remap the topic to where it publishes",
            wanted=wanted,
        )
        self._info_topic = node.resolve_topic_name("camera_info")
        self._infos: SensorSubscription | None = None
        if info:
            self._infos = SensorSubscription(
                node,
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
        return self._images.status

    @property
    def topic(self) -> str:
        return self._images.topic

    def destroy(self) -> None:
        self._images.destroy()
        if self._infos is not None:
            self._infos.destroy()

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def decode(self, message: Any) -> types.Frame | None:
        """The Frame of a message; None where it is refused, after saying why (rate-limited)."""
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
        """The image of a message, RGB uint8 [H, W, 3]; None where it is refused, as ``decode``."""
        try:
            if isinstance(message, CompressedImage):
                return images.from_compressed(message)
            return images.to_array(message)
        except images.ImageError as error:
            self._node.count("refused")
            self._node.complain(f"{self._images.topic}: {error}", key="image refused")
            return None

    def _camera_for(self, width: int, height: int) -> types.Camera:
        info = self._info
        if info is not None:
            try:
                camera = messages.camera_from_msg(info)
                check_distortion_model(camera)
                if (camera.width, camera.height) == (width, height):
                    return camera
                self._node.complain(
                    f"{self._info_topic} is for {camera.width}x{camera.height} images, but they "
                    f"are {width}x{height}: focal length = image width is assumed; remap "
                    "camera_info to this camera's",
                    key="camera_info size",
                )
            except ValueError as error:
                self._node.complain(
                    f"{self._info_topic}: {error}. Until then focal length = image width",
                    key="camera_info",
                )
        if self._camera is None or (self._camera.width, self._camera.height) != (width, height):
            self._camera = types.Camera.assume(width, height)
            # Sizes that take turns would fill the log.
            if info is None and self._node.due("no camera_info"):
                self._node.get_logger().info(
                    f"no {self._info_topic}: focal length = image width ({width}) is assumed"
                )
        return self._camera
