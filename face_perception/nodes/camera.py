"""The camera node: publishes images of a device, a film, a picture or the bundled sample.

It is meant for a laptop, the demo and the tests. A robot has its own camera driver.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import inference
from face_perception.errors import FacePerceptionError, InputError
from face_perception.media import (
    PHOTOS,
    CameraDevice,
    SampleScene,
    device_number,
    load_camera,
    play_clip,
    read_picture,
)
from face_perception.ros import images, messages, waiting_times
from face_perception.ros.driver import PerceptionNode
from face_perception.settings import setting

Array = npt.NDArray[np.uint8]
# An image, RGB uint8 [H, W, 3], and when it is due, in seconds since the source was opened.
TimedImage = tuple[Array, float]
_LATE = 0.5  # seconds; after a longer stall, the source goes on from where it is


@dataclass(frozen=True)
class CameraParameters:
    """Parameters of the camera node."""

    source: str = setting(
        "sample",
        "What to play: `sample` (moving photographs), a device (/dev/video0 or 0), or the path of "
        "a film or picture.",
    )
    rate: float = setting(
        30.0,
        "Number of images per second. A film or animated picture plays at its own rate.",
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
    loop: bool = setting(True, "Open a film again when it ends, and play it from the start.")
    frame_id: str = setting(
        "camera_optical_frame", "Name of the camera's optical frame, for the message headers."
    )
    camera_info_file: str = setting(
        "",
        "Path of the camera's calibration, a YAML file as ROS's camera_calibration writes it. "
        "Empty: no camera_info is published.",
    )


# Time of the sample scene at which the node begins, seconds: one person is there and the other one
# comes in, so that the first seconds of the demo show both.
_SAMPLE_START = 11.5


def open_sample(width: int, height: int, rate: float) -> Iterator[TimedImage]:
    """Returns images of the moving photographs, RGB uint8 [height, width, 3], without end."""
    photos = {name: read_picture(inference.sample_photo(name)) for name in PHOTOS}
    scene = SampleScene(photos, width, height)
    first = round(_SAMPLE_START * rate)
    return ((scene.render((first + n) / rate), n / rate) for n in itertools.count())


class CameraNode(PerceptionNode[CameraParameters]):
    """Publishes ``image`` (and ``image/compressed``, ``camera_info``) at a steady rate."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("camera", CameraParameters, **kwargs)
        self._problem = ""
        self._ended = False
        self._device: CameraDevice | None = None
        self._source: Iterator[TimedImage] = iter(())

    def setup(self) -> None:
        values = self.values
        calibration = os.path.expanduser(values.camera_info_file)
        self._camera = load_camera(calibration) if calibration else None
        self._source = self._open()
        self._image = self.publisher(Image, "image")
        self._compressed = self.publisher(CompressedImage, "image/compressed")
        self._camera_info = self.publisher(CameraInfo, "camera_info") if self._camera else None

    def _open(self) -> Iterator[TimedImage]:
        values = self.values
        self._ended = False
        if values.source == "sample":
            return open_sample(values.width, values.height, values.rate)
        number = device_number(values.source)
        if number is not None:
            self._device = CameraDevice(number, values.width, values.height)
            return ((image, count / values.rate) for count, image in enumerate(self._device))
        path = os.path.expanduser(values.source)
        if not os.path.exists(path):
            raise InputError(
                f"source {values.source}: there is no such file or device; use `sample`, "
                "/dev/video0, or the path of a film or picture"
            )
        return play_clip(path, values.rate, loop=values.loop, warn=self.warn_throttled)

    def without_effect(self, values: CameraParameters) -> Iterable[tuple[str, Iterable[str]]]:
        device = device_number(values.source) is not None
        if device or values.source == "sample":
            yield f"source {values.source} has no end", ("loop",)
        else:
            yield f"source {values.source} is played in its own size", ("width", "height")

    def start(self) -> None:
        if self._ended:
            self._source = self._open()
        self.thread(self._play)

    def release(self) -> None:
        # Closes the device, also after a setup that failed.
        self._source = iter(())
        if self._device is not None:
            self._device.close()
            self._device = None

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        return self._problem, {"source": self.values.source, "ended": str(self._ended).lower()}

    def _play(self, stop: threading.Event) -> None:
        begin = None  # time.monotonic() at which the source began
        while not stop.is_set():
            try:
                image, due = next(self._source)
            except StopIteration:
                self._ended = True
                self.get_logger().info(f"{self.values.source} has ended")
                return
            except Exception as error:
                self._reopen(error, stop)
                begin = None
                continue
            late = 0.0 if begin is None else time.monotonic() - begin - due
            if begin is None or late > _LATE:
                # After a stall, go on from now instead of sending a burst: cameras do the same.
                begin = time.monotonic() - due
                if late:
                    self.count("late")
            elif stop.wait(max(0.0, -late)):
                return
            self._problem = ""
            try:
                self._send(image)
            except Exception as error:  # an image that cannot be sent; the next one may be
                self.log_exception(error)

    def _reopen(self, error: Exception, stop: threading.Event) -> None:
        """Opens the source again and again: a file may be written at this moment, or be back."""
        if not isinstance(error, (FacePerceptionError, OSError)):
            self.log_exception(error)
        self._set_problem(error)
        self.release()
        while not stop.wait(waiting_times.RETRY_PERIOD):
            try:
                self._source = self._open()
            except (FacePerceptionError, OSError) as again:
                self._set_problem(again)
            else:
                return

    def _set_problem(self, error: Exception) -> None:
        self._problem = f"{error}. The node tries again every {waiting_times.RETRY_PERIOD:g} s."
        self.warn_throttled(self._problem)

    def _send(self, image: Array) -> None:
        self.count("input")
        raw, compressed = self.has_subscribers(self._image), self.has_subscribers(self._compressed)
        if not raw and not compressed:
            return
        message = Image()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self.values.frame_id
        if self._camera is not None and self._camera_info is not None:
            info = messages.camera_to_msg(self._camera, message.header)
            self.publish(self._camera_info, info)
        if raw:
            self.publish(self._image, images.from_array(image, message), message.header)
        if compressed:
            jpeg = images.to_compressed(image)
            jpeg.header = message.header
            self.publish(self._compressed, jpeg, None if raw else message.header)
