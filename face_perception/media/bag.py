"""Reads the images of a rosbag2 recording."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from face_perception.camera_messages import is_rectified, usable_camera
from face_perception.errors import InputError
from face_perception.media.bag_reader import BagReader
from face_perception.media.eight_bits import BitDepth
from face_perception.media.image_messages import (
    ImageError,
    image_from_compressed,
    image_from_message,
)
from face_perception.media.image_order import ImageOrder
from face_perception.outside_files import reason_of
from face_perception.types import Camera, Image

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_RATE_OF = 64  # first messages from which the rate is found


class Bag:
    """The images of one topic of a recording. Iterate over it once.

    Yields the image, RGB uint8 [H, W, 3], the stamp of its header in seconds, the frame id, and
    its camera: None if there is no camera_info for it. Images that are a little older than one
    before are left out, as in the nodes. A broken image message is left out; after the iteration,
    ``damage`` says how many, and why. ``count`` is the number of messages, 0 if it is not known,
    ``rate`` the usual number of images per second.

    ``topic`` is the image topic; empty: the only one in the bag. The camera_info is that of the
    same namespace, as image_transport has it. Raises InputError, which names the bag, the reason
    and the fix, and MissingDependencyError without rosbags.
    """

    def __init__(self, path: Path, topic: str = "") -> None:
        self._bag = BagReader(path)
        self._name = self._bag.name
        try:
            self.topic = _choose_topic(path, topic, self._bag.topics)
            self._info_topic = _info_topic(self.topic, self._bag.topics)
            self.count = max(self._bag.counts[self.topic], 0)
            self.rate = self._find_rate()
        except BaseException:
            self.close()
            raise
        self.damage = ""

    def __iter__(self) -> Iterator[tuple[Image, float, str, Camera | None]]:
        order, depth = ImageOrder(), BitDepth()
        # A driver sends camera_info just before or just after its image.
        *_, info = next(self._bag.messages(self._info_topic, refuse=_skip), ("", 0, None))
        read, broken, reason = 0, 0, ""

        def refuse(topic: str, error: Exception) -> None:
            nonlocal broken, reason
            if topic == self.topic:
                broken, reason = broken + 1, reason or reason_of(error)

        for topic, _, message in self._bag.messages(self._info_topic, self.topic, refuse=refuse):
            if topic == self._info_topic:
                info = message
                continue
            if order.step_back(_nanoseconds(message.header.stamp)):
                continue
            try:
                if message.__msgtype__ == _COMPRESSED:
                    image = image_from_compressed(message)
                else:
                    image = image_from_message(message, depth)
            except ImageError as error:
                refuse(topic, error)
                continue
            read += 1
            height, width = image.shape[:2]
            camera = None
            try:
                if info is not None:
                    camera = usable_camera(info, width, height, is_rectified(self.topic))
            except InputError as error:
                raise InputError(
                    f"{self._name}, {self._info_topic}: {error}; or give --camera-info"
                ) from error
            stamp = message.header.stamp
            yield image, stamp.sec + stamp.nanosec * 1e-9, message.header.frame_id, camera
        if broken and not read:
            raise InputError(f"{self._name}: no image on {self.topic} can be read: {reason}")
        problems = [self._bag.damage] if self._bag.damage else []
        if self._bag.unfinished:
            problems.append("it has no end: its recording was not finished, or it is cut off")
        if broken:
            of = f" of {self.count}" if self.count else ""
            problems.append(f"{broken}{of} images cannot be read: {reason}")
        self.damage = "; ".join(problems)

    def close(self) -> None:
        """Closes the files."""
        self._bag.close()

    def _find_rate(self) -> float:
        times = []
        for *_, message in self._bag.messages(self.topic, refuse=_skip):
            times.append(_nanoseconds(message.header.stamp))
            if len(times) == _RATE_OF:
                break
        if not times:
            damage = f": {self._bag.damage}" if self._bag.damage else ""
            raise InputError(f"{self._name} has no image on {self.topic}{damage}")
        steps = [b - a for a, b in itertools.pairwise(times) if b > a]
        return 1e9 / statistics.median(steps) if steps else 30.0


def _skip(topic: str, error: Exception) -> None:
    """Skips a message that cannot be read: it is counted when the images are read."""


def _choose_topic(path: Path, topic: str, found: dict[str, str]) -> str:
    images = {name for name, kind in found.items() if kind in (_IMAGE, _COMPRESSED)}
    listed = ", ".join(sorted(images)) or "none"
    if topic and not topic.startswith("/"):
        topic = f"/{topic}"
    if topic in images:
        return topic
    if topic in found:
        raise InputError(
            f"{path}: {topic} has messages of type {found[topic]}: name an image topic with "
            f"--image: {listed}"
        )
    if topic:
        raise InputError(f"{path} has no topic {topic}: its image topics are: {listed}")
    if not images:
        raise InputError(f"{path} has no image topic: record `/camera/image_raw` or the like")
    if len(images) > 1:
        raise InputError(f"{path} has several image topics: name one with --image: {listed}")
    return images.pop()


def _info_topic(topic: str, found: dict[str, str]) -> str:
    """Returns the camera_info topic in the namespace of an image topic; empty if not found."""
    spaces = topic.split("/")[:-1]
    # /camera/image_raw/compressed has its camera_info two levels up.
    for depth in (len(spaces), len(spaces) - 1):
        name = "/".join([*spaces[:depth], "camera_info"]) if depth > 0 else ""
        if found.get(name) == _CAMERA_INFO:
            return name
    return ""


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
