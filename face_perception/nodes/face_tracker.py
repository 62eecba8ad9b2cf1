"""The face_tracker node: publishes the faces of images, and aligned crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from std_srvs.srv import Trigger

from face_perception import faces, inference
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.image_input import ImageInput, ImageParameters
from face_perception.ros.network_loading import NetworkLoader, network_diagnostics
from face_perception.ros.result_kinds import Result
from face_perception.types import Face, Recognition

_UNSTAMPED = (
    "images have no stamp, or the stamp of the image before: set stamps in the camera driver, "
    "because attention, overlay and gaze networks pair messages by stamp"
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
        self._reset_requested = False
        # The stamp of the last recognitions, and those that name a person, by face id.
        self._persons: tuple[float, dict[str, Recognition]] = (0.0, {})

    def setup(self) -> None:
        self._tracker = faces.load_tracker(self.values, **NetworkLoader(self).arguments())
        self._faces = self.publisher(result_kinds.FACES, "faces")
        self._crops = self.publisher(result_kinds.FACE_CROPS, "face_crops")
        self.serve(Trigger, "~/reset", self._on_reset)

    def start(self) -> None:
        self._persons = (0.0, {})
        self.subscribe(
            result_kinds.RECOGNITIONS,
            "recognitions",
            self._on_recognitions,
            expected=False,
        )
        self._worker = self.worker(self._track)
        self._input = ImageInput(
            self,
            self._on_image,
            compressed=self.values.compressed,
            reliability=self.values.qos,
            wanted=lambda: self.has_subscribers(self._faces, self._crops),
        )

    def change_values(self, values: FaceTrackerParameters) -> None:
        self._tracker.change_settings(values)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        fallback, models = network_diagnostics(self._tracker.models)
        count = f"{self._count}{_FULL if self._tracker.full else ''}"
        problem = self._input.status or self._unstamped or fallback
        return problem, {"faces": count, **models}

    def _on_image(self, message: Any) -> None:
        self.count("input")
        if self._worker.put(message):
            self.count("dropped")

    def _on_recognitions(self, result: Result[Recognition]) -> None:
        stamp = messages.seconds(result.header.stamp)
        self._persons = stamp, {one.face_id: one for one in result.values if one.person_id}

    def _named(self, tracked: Sequence[Face], stamp: float) -> list[Face]:
        """Returns faces with the persons that the node people has recognised.

        It says so for every image, so that its names expire as ids do, if it ends.
        """
        recognised_at, persons = self._persons
        if faces.id_expired(recognised_at, stamp):
            persons = {}
        named = []
        for face in tracked:
            found = persons.get(face.face_id)
            if found is not None:
                face = replace(face, person_id=found.person_id, person_confidence=found.confidence)
            named.append(face)
        return named

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset_requested = True
        response.success, response.message = True, "forgot all faces; the counter of ids goes on"
        return response

    def _track(self, message: Any) -> None:
        frame = self._input.decode(message)
        if frame is None:
            return
        if self._reset_requested:
            self._reset_requested = False
            self._tracker.reset()
            self._persons = (0.0, {})
        if frame.stamp < self._last_stamp:
            self.warn_throttled(
                f"stamps went back by {self._last_stamp - frame.stamp:.2f} s (a bag that loops, "
                "two cameras, a changed clock?): restarting the tracker",
                key="stamps",
            )
        size = f"{frame.camera.width}x{frame.camera.height}"
        if self._size not in ("", size):
            self.warn_throttled(
                f"images on {self._input.topic} are {size} after {self._size} (two cameras, a new "
                "resolution?): restarting the tracker",
                key="size",
            )
        self._size = size
        self._unstamped = _UNSTAMPED if frame.stamp == self._last_stamp else ""
        if self._unstamped:
            self.warn_throttled(self._unstamped)
        self._last_stamp = frame.stamp
        tracked = self._named(self._tracker.track(frame), frame.stamp)
        self._count = len(tracked)
        header = message.header
        self.publish(self._faces, Result(header, tracked, frame.camera), header)
        if self.has_subscribers(self._crops):
            # An expression network reads only some of them.
            crops = [faces.UncutCrop(frame.image, face) for face in tracked]
            self.publish(self._crops, Result(header, crops))
