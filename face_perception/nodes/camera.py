"""The camera node: publishes images of a device, a video, a picture or the bundled sample.

It is meant for a laptop, the demo and the tests. A robot has its own camera driver.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import inference
from face_perception.errors import InputError
from face_perception.media import (
    PHOTOS,
    CameraDevice,
    FrameReader,
    SampleScene,
    device_number,
    load_camera,
)
from face_perception.ros import images, messages, waiting_times
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.node_process import run
from face_perception.settings import setting

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CameraParameters:
    """Parameters of the camera node."""

    source: str = setting(
        "sample",
        "What to play: `sample` (moving photographs), a device (/dev/video0 or 0), or the path of "
        "a video or picture.",
    )
    rate: float = setting(
        30.0,
        "Number of images per second. A video file plays at its own rate.",
        minimum=0.1,
        maximum=240.0,
        unit="Hz",
    )
    width: int = setting(
        640,
        "Image width to request from a device, or width of the sample.",
        minimum=16,
        maximum=7680,
        unit="pixels",
    )
    height: int = setting(
        480,
        "Image height to request from a device, or height of the sample.",
        minimum=16,
        maximum=4320,
        unit="pixels",
    )
    loop: bool = setting(True, "Start a video again when it ends.")
    frame_id: str = setting(
        "camera_optical_frame", "Name of the camera's optical frame, for the message headers."
    )
    camera_info_file: str = setting(
        "",
        "Path of the camera's calibration, a YAML file as ROS's camera_calibration writes it. "
        "Empty: no camera_info is published.",
    )


def open_sample(width: int, height: int, rate: float) -> Iterator[Array]:
    """Returns images of the moving photographs, RGB uint8 [height, width, 3], without end."""
    photos = {name: next(iter(FrameReader(inference.sample_photo(name)))).image for name in PHOTOS}
    scene = SampleScene(photos, width, height)
    return (scene.render(number / rate) for number in itertools.count())


def open_clip(path: str, loop: bool) -> tuple[Iterator[Array], float]:
    """Returns the images of a file, and their rate in Hz (0 for a picture).

    A picture repeats without end, a video only with ``loop``. Raises what ``FrameReader`` raises.
    """
    clip = FrameReader(path)

    def images_of(clip: FrameReader) -> Iterator[Array]:
        if clip.still:
            yield from itertools.repeat(next(iter(clip)).image)
        while True:
            with clip:
                yield from (frame.image for frame in clip)
            if not loop:
                return
            clip = FrameReader(path)

    return images_of(clip), clip.rate


class CameraNode(PerceptionNode[CameraParameters]):
    """Publishes ``image`` (and ``image/compressed``, ``camera_info``) at a steady rate."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__("camera", CameraParameters, **kwargs)
        self._problem = ""
        self._source: Iterator[Array] = iter(())

    def setup(self) -> None:
        values = self.values
        calibration = os.path.expanduser(values.camera_info_file)
        self._camera = load_camera(calibration) if calibration else None
        self._source, self._rate = self._open()
        self._image = self.publisher(Image, "image")
        self._compressed = self.publisher(CompressedImage, "image/compressed")
        self._camera_info = self.publisher(CameraInfo, "camera_info") if self._camera else None

    def _open(self) -> tuple[Iterator[Array], float]:
        values = self.values
        if values.source == "sample":
            return open_sample(values.width, values.height, values.rate), values.rate
        device = device_number(values.source)
        if device is not None:
            return CameraDevice(device, values.width, values.height), values.rate
        path = os.path.expanduser(values.source)
        if not os.path.exists(path):
            raise InputError(
                f"source {values.source}: there is no such file or device; use `sample`, "
                "/dev/video0, or the path of a video or picture"
            )
        images_of, rate = open_clip(path, values.loop)
        return images_of, rate or values.rate

    def start(self) -> None:
        self.thread(self._play)

    def release(self) -> None:
        # Closes the device, also after a setup that failed.
        source, self._source = self._source, iter(())
        if isinstance(source, CameraDevice):
            source.close()

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        return self._problem, {"source": self.values.source}

    def _play(self, stop: threading.Event) -> None:
        begin = time.monotonic()
        number = 0
        while not stop.is_set():
            try:
                image = next(self._source)
                self._problem = ""
                self._send(image)
            except StopIteration:
                self.get_logger().info(f"{self.values.source} has ended")
                return
            except OSError as error:
                self._reopen(error, stop)
                continue
            except Exception as error:
                self.log_exception(error)
                return
            number += 1
            late = time.monotonic() - begin - number / self._rate
            if late < 0:
                stop.wait(-late)
            elif late > 0.5:
                # After a stall, go on from now instead of sending a burst: cameras do the same.
                begin = time.monotonic() - number / self._rate
                self.count("late")

    def _reopen(self, error: Exception, stop: threading.Event) -> None:
        self._problem = f"{error}. The node tries again every {waiting_times.RETRY_PERIOD:g} s."
        self.warn_throttled(self._problem)
        self.release()
        while not stop.wait(waiting_times.RETRY_PERIOD):
            try:
                self._source, self._rate = self._open()
            except (ValueError, OSError) as again:
                self._problem = str(again)
            else:
                return

    def _send(self, image: Array) -> None:
        self.count("input")
        raw, compressed = self.has_subscribers(self._image), self.has_subscribers(self._compressed)
        if not raw and not compressed:
            return
        message = Image()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self.values.frame_id
        if self._camera is not None:
            info = messages.camera_to_msg(self._camera, message.header)
            self.publish(self._camera_info, info)
        if raw:
            self.publish(self._image, images.from_array(image, message), message.header)
        if compressed:
            jpeg = images.to_compressed(image)
            jpeg.header = message.header
            self.publish(self._compressed, jpeg, None if raw else message.header)


def main(args: list[str] | None = None) -> int:
    return run(CameraNode, args)
