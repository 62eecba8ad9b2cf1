"""face_tracker node: images to faces, and to aligned crops for those who want pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from std_srvs.srv import Trigger

from face_perception import faces, inference, msg
from face_perception.ros import messages
from face_perception.ros import network_parameters as networks
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.image_input import ImageInput, ImageParameters
from face_perception.ros.process import run
from face_perception.ros.worker import LatestWorker

_UNSTAMPED = (
    "images carry no stamp, or the same one again: have the camera driver stamp them; attention, "
    "overlay and gaze networks pair by it"
)
_FULL = ", as many as max_faces allows: there may be more"


@dataclass(frozen=True)
class FaceTrackerParameters(ImageParameters, faces.FaceTrackerSettings, inference.NetworkSettings):
    """Parameters of the face_tracker node."""


class FaceTrackerNode(PerceptionNode[FaceTrackerParameters]):
    """Reads ``image`` and ``camera_info``, publishes ``faces`` and, lazily, ``face_crops``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("face_tracker", FaceTrackerParameters, **kwargs)
        self._count = 0
        self._last_stamp = 0.0
        self._size = ""
        self._unstamped = ""
        self._reset_asked = False
        self._input: ImageInput | None = None
        self._worker: LatestWorker[Any] | None = None

    def setup(self) -> None:
        loading = networks.Loading(self).settings()
        self._tracker = faces.load_tracker(self.values, **loading)
        self._faces = self.publisher(msg.FaceArray, "faces")
        self._crops = self.publisher(msg.FaceCrops, "face_crops")
        self._reset = self.create_service(Trigger, "~/reset", self._on_reset)

    def start(self) -> None:
        self._worker = LatestWorker("face_tracker", self._track, self.failed)
        self._input = ImageInput(
            self,
            self._received,
            compressed=self.values.compressed,
            reliability=self.values.qos,
            wanted=lambda: self.heard(self._faces, self._crops),
        )

    def stop(self) -> None:
        if self._input is not None:
            self._input.destroy()
            self._input = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def release(self) -> None:
        if hasattr(self, "_reset"):
            self.destroy_service(self._reset)
            del self._reset

    def report(self) -> tuple[str, dict[str, str]]:
        fallen, models = networks.report(self._tracker.models)
        problem = self._input.status if self._input else ""
        count = f"{self._count}{_FULL if self._tracker.full else ''}"
        return problem or self._unstamped or fallen, {"faces": count, **models}

    def _received(self, message: Any) -> None:
        self.count("input")
        if self._worker is not None and self._worker.put(message):
            self.count("dropped")

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset_asked = True
        response.success, response.message = True, "all faces are forgotten; ids go on counting"
        return response

    def _track(self, message: Any) -> None:
        if self._input is None:
            return
        frame = self._input.decode(message)
        if frame is None:
            return
        if self._reset_asked:
            self._reset_asked = False
            self._tracker.reset()
        if frame.stamp < self._last_stamp:
            self.complain(
                f"stamps went back by {self._last_stamp - frame.stamp:.2f} s (a bag that loops, "
                "two cameras, a changed clock?): tracking starts again",
                key="stamps",
            )
        size = f"{frame.camera.width}x{frame.camera.height}"
        if self._size not in ("", size):
            self.complain(
                f"images on {self._input.topic} are {size} after {self._size} (two cameras, a new "
                "resolution?): tracking starts again",
                key="size",
            )
        self._size = size
        self._unstamped = _UNSTAMPED if frame.stamp == self._last_stamp else ""
        if self._unstamped:
            self.complain(self._unstamped)
        self._last_stamp = frame.stamp
        tracked = self._tracker.track(frame)
        self._count = len(tracked)
        header = message.header
        self.publish(self._faces, messages.faces_to_msg(tracked, frame.camera, header), header)
        if self.heard(self._crops):
            crops = [faces.crop_face(frame.image, face) for face in tracked]
            self.publish(self._crops, messages.crops_to_msg(crops, header))


def main(args: list[str] | None = None) -> int:
    return run(FaceTrackerNode, args)
