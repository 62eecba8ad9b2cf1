"""Runs a gaze network in the gaze node: pairs images with faces, and works on the newest pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from face_perception.gaze import NetworkGaze
from face_perception.ros import messages
from face_perception.ros.image_input import ImageInput
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import StampJoin
from face_perception.types import Camera, Face, Frame, Gaze

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

# Faces arrive later than their image, by the tracker's latency.
_WAIT = 0.5  # seconds that an image is kept
_IMAGES = 24  # largest number of images that are kept
_MISSED = 10  # messages of faces in a row without their image, before a warning

# Called with the header, camera, faces and gazes of an image, on the worker's thread.
Found = Callable[[Any, Camera, Sequence[Face], list[Gaze]], None]


class ImageGaze:
    """Runs a ``NetworkGaze`` on pairs of an image and its faces, which have the same stamp.

    Make it in the ``start`` of a node, and use it on the executor's thread; ``found`` is called on
    the worker's thread. Of the pairs that arrive while the network runs only the newest is kept;
    the others count as dropped.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        estimator: NetworkGaze,
        found: Found,
        *,
        compressed: bool,
        reliability: str,
        wanted: Callable[[], bool],
    ) -> None:
        self._node = node
        self._estimator = estimator
        self._found = found
        self._missed = 0
        self._logged: set[str] = set()  # the refused faces that are in the log
        self._join = StampJoin("faces", _WAIT, limit=_IMAGES)
        self._worker = node.worker(self._estimate)
        # Without camera_info: a message of faces contains their camera.
        self._images = ImageInput(
            node,
            self._on_image,
            compressed=compressed,
            reliability=reliability,
            wanted=wanted,
            depth=3,
            info=False,
        )

    @property
    def status(self) -> str:
        """Returns why no images arrive; empty if they do."""
        return self._images.status

    @property
    def refused(self) -> str:
        """The faces of the last image that the network could not use, and why; for diagnostics."""
        return "; ".join(f"{face}: {why}" for face, why in self._estimator.refused.items())

    def add_faces(self, faces: Result[Face]) -> None:
        """Takes faces, before or after their image."""
        self._add("faces", faces)

    def _on_image(self, message: Any) -> None:
        self._node.count("input image")
        self._add("image", message)

    def _add(self, key: str, item: Any) -> None:
        stamp = messages.nanoseconds(item.header.stamp)
        for _, group in self._join.add(key, stamp, item, frozenset(("faces", "image"))):
            if "image" in group:
                self._missed = 0
                if self._worker.put((group["faces"], group["image"])):
                    self._node.count("dropped")
                continue
            self._node.count("without image")
            self._missed += 1
            if self._missed >= _MISSED:
                self._node.warn_throttled(
                    f"{self._images.topic} has no images with the stamps of the faces: remap image "
                    "to the topic that face_tracker reads",
                    key="without image",
                )

    def _estimate(self, pair: tuple[Result[Face], Any]) -> None:
        result, image_message = pair
        faces, camera = result.values, result.camera
        assert camera is not None  # faces have one
        gazes: list[Gaze] = []
        stamp = messages.seconds(result.header.stamp)
        if faces:
            image = self._images.pixels(image_message)
            if image is None:
                return
            height, width = image.shape[:2]
            if (width, height) != (camera.width, camera.height):
                self._node.count("refused")
                self._node.warn_throttled(
                    f"{self._images.topic} is {width}x{height}, but the faces were found in "
                    f"{camera.width}x{camera.height}: remap image to the topic that face_tracker "
                    "reads",
                    key="image size",
                )
                return
            frame = Frame(image, stamp, camera)
            gazes = self._estimator.estimate(frame, faces)
        self._log_refused({face.face_id for face in faces})
        self._estimator.keep([face.face_id for face in faces], stamp)
        self._found(result.header, camera, faces, gazes)

    def _log_refused(self, present: set[str]) -> None:
        """Logs the faces that are newly refused, at the limited rate."""
        refused = {f: why for f, why in self._estimator.refused.items() if f in present}
        self._logged &= refused.keys()
        new = {face: why for face, why in refused.items() if face not in self._logged}
        if new and self._node.should_log("refused faces"):
            self._logged |= new.keys()
            why = "; ".join(f"{face}, {why}" for face, why in new.items())
            self._node.get_logger().warning(f"no gaze from the network: {why}; holding the last")
