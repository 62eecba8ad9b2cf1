"""A screen that publishes the frames, the sound and the mouth of the talking face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from face_perception import msg
from face_perception.avatar import ScreenFrame
from face_perception.ros import images
from face_perception.ros.driver import PerceptionNode
from face_perception.speech import (
    MouthShape,
    blendshapes_of,
    lip_distance,
    to_int16,
    visemes_of,
)


class TopicScreen:
    """Publishes avatar/image, raw and compressed, avatar/audio and avatar/mouth, each only to
    subscribers.

    A node creates it in ``setup`` and owns the publishers. ``stamp_of`` converts monotonic seconds
    to a ROS time. ``draws`` is whether the node has a renderer.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        frame_id: str,
        stamp_of: Callable[[float], Any],
        *,
        draws: bool,
    ) -> None:
        self._draws = draws
        self._node, self._frame_id, self._stamp_of = node, frame_id, stamp_of
        self._image = node.publisher(Image, "avatar/image", depth=1)
        self._compressed = node.publisher(CompressedImage, "avatar/image/compressed", depth=1)
        self._audio = node.publisher(msg.Audio, "avatar/audio", depth=100)
        self._mouth = node.publisher(msg.Mouth, "avatar/mouth", depth=10)
        self._rate = 0
        self._heard_at: Callable[[float], float] = float

    def start_timeline(self, audio_rate: int, heard_at: Callable[[float], float]) -> None:
        """Starts a new timeline with sound of ``audio_rate`` samples per second.

        ``heard_at`` converts a position on it to monotonic seconds.
        """
        self._rate, self._heard_at = audio_rate, heard_at

    @property
    def wanted(self) -> bool:
        return self._draws and self._waited_for

    @property
    def _waited_for(self) -> bool:
        return self._node.has_subscribers(self._image, self._compressed)

    @property
    def problem(self) -> str:
        """Says so if somebody waits for pictures that nobody draws."""
        if self._draws or not self._waited_for:
            return ""
        renderer = self._node.values.renderer
        return (
            f"avatar/image has subscribers, but renderer {renderer} draws no picture: set renderer "
            "to portrait, or end these subscribers"
        )

    def show_frame(self, frame: ScreenFrame) -> None:
        if frame.image is None:
            return
        node = self._node
        header = self._header(frame.at)
        if node.has_subscribers(self._image):
            message = images.from_array(frame.image)
            message.header = header
            node.publish(self._image, message, header)
        if node.has_subscribers(self._compressed):
            jpeg = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
            jpeg.data.frombytes(frame.jpeg())
            node.publish(self._compressed, jpeg, header)

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        if not self._node.has_subscribers(self._audio):
            return
        message = msg.Audio(sample_rate=self._rate, channels=1)
        message.header = self._header(self._heard_at(position))
        message.samples.frombytes(to_int16(samples).tobytes())
        self._node.publish(self._audio, message)

    def show_mouth(self, at: float, shape: MouthShape, speaking: bool) -> None:
        """Publishes the mouth of a frame that is due at ``at``, monotonic seconds."""
        if not self._node.has_subscribers(self._mouth):
            return
        message = msg.Mouth(
            **{field.name: float(getattr(shape, field.name)) for field in fields(shape)},
            opening=float(np.clip(lip_distance(shape.values()), 0, 1)),
            blendshapes=blendshapes_of(shape).astype(np.float32),
            visemes=visemes_of(shape).astype(np.float32),
            speaking=speaking,
        )
        message.header = self._header(at)
        self._node.publish(self._mouth, message)

    def close(self) -> None:
        """Does nothing: the node owns the publishers."""

    def _header(self, at: float) -> Header:
        return Header(stamp=self._stamp_of(at), frame_id=self._frame_id)
