"""Camera node for the bench: plays a device, a video, a picture or the bundled sample as images.

A robot has its own camera driver; this is for a laptop, a demo and the tests.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import inference
from face_perception.nodes import images, messages
from face_perception.nodes.driver import PerceptionNode, run
from face_perception.nodes.parameters import parameter
from face_perception.synthesis import SampleScene

Array = npt.NDArray[np.uint8]
# Gives the frame that is due at a time since the start, or None where there is none (any more).
Source = Callable[[float], "Array | None"]


@dataclass(frozen=True)
class CameraParameters:
    """Parameters of the camera node."""

    source: str = parameter(
        "sample",
        "What to play: `sample` (photographs that move), a device (/dev/video0 or 0), or the path "
        "of a video or picture.",
    )
    rate: float = parameter(
        30.0, "Images a second; a video file has its own.", minimum=0.1, maximum=240.0
    )
    width: int = parameter(
        640, "Width asked of a device or the sample, pixels.", minimum=16, maximum=7680
    )
    height: int = parameter(
        480, "Height asked of a device or the sample, pixels.", minimum=16, maximum=4320
    )
    loop: bool = parameter(True, "Start a video again when it ends.")
    frame_id: str = parameter("camera_optical_frame", "Optical frame named in the header.")
    camera_info_file: str = parameter(
        "", "Calibration as written by ROS's camera_calibration (YAML); empty: none is published."
    )


def load_camera_info(path: str) -> CameraInfo:
    """A CameraInfo from a camera_calibration YAML.

    Raises ValueError naming the file and what is missing, OSError where it cannot be read.
    """
    with open(path, encoding="utf-8") as stream:
        try:
            data = yaml.safe_load(stream)
            info = CameraInfo(
                width=int(data["image_width"]),
                height=int(data["image_height"]),
                distortion_model=str(data.get("distortion_model", "")),
                d=[float(v) for v in data.get("distortion_coefficients", {}).get("data", [])],
            )
            info.k = [float(v) for v in data["camera_matrix"]["data"]]
            if "rectification_matrix" in data:
                info.r = [float(v) for v in data["rectification_matrix"]["data"]]
            if "projection_matrix" in data:
                info.p = [float(v) for v in data["projection_matrix"]["data"]]
        except (KeyError, TypeError, AttributeError, AssertionError, yaml.YAMLError) as error:
            raise ValueError(
                f"{path} is no camera calibration ({error!r}): write it with camera_calibration"
            ) from error
    messages.camera_from_msg(info)
    return info


def open_sample(width: int, height: int) -> Source:
    """The photographs that move before a virtual camera."""
    photos = {}
    for name in ("astronaut", "grace_hopper"):
        path = inference.sample_photo(name)
        photo = cv2.imread(str(path))
        if photo is None:
            raise ValueError(f"{path} cannot be read: run `face-perception models fetch`")
        photos[name] = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
    return SampleScene(photos, width, height).render


def open_picture(path: Path) -> Source | None:
    """A still, or None where the file is no picture."""
    picture = cv2.imread(str(path))
    if picture is None:
        return None
    still = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return lambda _: still


class Video:
    """A device or a video file; ``rate`` is its own, 0 where it does not say."""

    def __init__(self, source: str | int, width: int, height: int, loop: bool) -> None:
        self._live = isinstance(source, int)
        self._source = source
        self._loop = loop
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            if self._live:
                raise ValueError(
                    f"camera /dev/video{source} cannot be opened: is it plugged in, free, and are "
                    "you in the group `video`?"
                )
            raise ValueError(f"{source} is neither a picture nor a video that OpenCV can read")
        if self._live:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if np.isfinite(rate) and 0 < rate <= 240 and not self._live else 0.0

    def __call__(self, _: float) -> Array | None:
        ok, frame = self._capture.read()
        if not ok and not self._live and self._loop:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            ok, frame = self._capture.read()
        if not ok:
            if self._live:
                raise OSError(f"camera /dev/video{self._source} gives no more images")
            return None
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._capture.release()


class CameraNode(PerceptionNode[CameraParameters]):
    """Publishes ``image`` (and ``image/compressed``, ``camera_info``) at a steady rate."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__("camera", CameraParameters, **kwargs)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lost = ""

    def setup(self) -> None:
        values = self.values
        self._info = None
        if values.camera_info_file:
            self._info = load_camera_info(values.camera_info_file)
        self._source, self._rate = self._open()
        self._image = self.publisher(Image, "image")
        self._compressed = self.publisher(CompressedImage, "image/compressed")
        self._camera_info = self.publisher(CameraInfo, "camera_info") if self._info else None

    def _open(self) -> tuple[Source, float]:
        values = self.values
        if values.source == "sample":
            return open_sample(values.width, values.height), values.rate
        device = re.fullmatch(r"(?:/dev/video)?(\d+)", values.source)
        if device:
            video = Video(int(device[1]), values.width, values.height, False)
            return video, values.rate
        path = Path(values.source).expanduser()
        if not path.exists():
            raise ValueError(
                f"source {values.source}: there is no such file or device; use `sample`, "
                "/dev/video0, or the path of a video or picture"
            )
        still = open_picture(path) if path.is_file() else None
        if still:
            return still, values.rate
        video = Video(str(path), values.width, values.height, values.loop)
        return video, video.rate or values.rate

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._play, name="camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.5)
            self._thread = None

    def release(self) -> None:
        source = getattr(self, "_source", None)
        if isinstance(source, Video):
            source.close()

    def report(self) -> tuple[str, dict[str, str]]:
        return self._lost, {"source": self.values.source}

    def _play(self) -> None:
        begin = time.monotonic()
        number = 0
        while not self._stop.is_set():
            try:
                image = self._source(number / self._rate)
                self._lost = ""
            except OSError as error:
                self._reopen(error)
                continue
            except Exception as error:
                self.failed(error)
                image = None
            if image is None:
                self.get_logger().info(f"{self.values.source} has ended")
                return
            self._send(image)
            number += 1
            late = time.monotonic() - begin - number / self._rate
            if late < 0:
                self._stop.wait(-late)
            elif late > 0.5:
                # Never a burst to catch up after a stall: a camera would not either.
                begin = time.monotonic() - number / self._rate
                self.count("late")

    def _reopen(self, error: Exception) -> None:
        self._lost = f"{error}; trying to open it again"
        self.complain(self._lost)
        self.release()
        self._stop.wait(2.0)
        try:
            self._source, self._rate = self._open()
        except ValueError as again:
            self._lost = str(again)

    def _send(self, image: Array) -> None:
        self.count("input")
        raw, compressed = self.heard(self._image), self.heard(self._compressed)
        if not raw and not compressed:
            return
        message = Image()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self.values.frame_id
        if self._info is not None and self._camera_info is not None:
            self._info.header = message.header
            self.publish(self._camera_info, self._info)
        if raw:
            self.publish(self._image, images.from_array(image, message), message.header)
        if compressed:
            jpeg = images.to_compressed(image)
            jpeg.header = message.header
            self.publish(self._compressed, jpeg, None if raw else message.header)


def main(args: list[str] | None = None) -> int:
    return run(CameraNode, args)
