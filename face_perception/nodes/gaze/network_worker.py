"""What the gaze node does for networks: pairs images with faces and works on the newest pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from face_perception.gaze import NetworkGaze
from face_perception.ros import messages
from face_perception.ros.image_input import ImageInput
from face_perception.ros.join import StampJoin
from face_perception.ros.worker import LatestWorker
from face_perception.types import Camera, Face, Frame, Gaze

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

# Faces come later than their image, by the tracker's latency: seconds and images that are kept.
_WAIT, _IMAGES = 0.5, 24
_MISSED = 10  # faces in a row without their image: then it is no accident

# Called with the header, camera, faces and gazes of an image, on the worker's thread.
Found = Callable[[Any, Camera, Sequence[Face], list[Gaze]], None]


class ImageGaze:
    """Runs a ``NetworkGaze`` on pairs of image and faces of one stamp; made in a node's ``start``.

    Of the pairs that come in while one is worked on only the newest is taken; the others count as
    dropped. Not thread-safe: used on the executor's thread; ``found`` is called on the worker's.
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
        self._told: set[str] = set()  # which of the refused faces the log has
        self._join = StampJoin("faces", _WAIT, limit=_IMAGES)
        self._worker: LatestWorker[tuple[Any, Any]] = LatestWorker("gaze", self._work, node.failed)
        # No camera_info: the faces say which camera they were seen by.
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
        return self._images.status

    @property
    def refused(self) -> str:
        """The faces of the last image of which nothing could be made, and why; for diagnostics."""
        return "; ".join(f"{face}: {why}" for face, why in self._estimator.refused.items())

    def destroy(self) -> None:
        self._images.destroy()
        self._worker.stop()

    def add_faces(self, message: Any) -> None:
        """A FaceArray, whose image came or is to come."""
        self._add("faces", message)

    def _on_image(self, message: Any) -> None:
        self._node.count("input image")
        self._add("image", message)

    def _add(self, key: str, message: Any) -> None:
        stamp = messages.nanoseconds(message.header.stamp)
        for _, group in self._join.add(key, stamp, message, frozenset(("faces", "image"))):
            if "image" in group:
                self._missed = 0
                if self._worker.put((group["faces"], group["image"])):
                    self._node.count("dropped")
                continue
            self._node.count("without image")
            self._missed += 1
            if self._missed >= _MISSED:
                self._node.complain(
                    f"faces have no image of their stamp on {self._images.topic}: remap image to "
                    "what face_tracker reads",
                    key="without image",
                )

    def _work(self, pair: tuple[Any, Any]) -> None:
        message, image_message = pair
        try:
            faces, camera = messages.faces_from_msg(message)
        except ValueError:
            self._node.count("refused")
            raise
        gazes: list[Gaze] = []
        stamp = messages.seconds(message.header.stamp)
        if faces:
            image = self._images.pixels(image_message)
            if image is None:
                return
            height, width = image.shape[:2]
            if (width, height) != (camera.width, camera.height):
                self._node.count("refused")
                self._node.complain(
                    f"{self._images.topic} is {width}x{height}, but the faces were found in "
                    f"{camera.width}x{camera.height}: remap image to what face_tracker reads",
                    key="image size",
                )
                return
            frame = Frame(image, stamp, camera)
            gazes = self._estimator.estimate(frame, faces)
        self._tell_refused({face.id for face in faces})
        self._estimator.keep([face.id for face in faces], stamp)
        self._found(message.header, camera, faces, gazes)

    def _tell_refused(self, present: set[str]) -> None:
        """One line when faces begin to be refused; of those within its pause, after that."""
        refused = {f: why for f, why in self._estimator.refused.items() if f in present}
        self._told &= refused.keys()
        new = {face: why for face, why in refused.items() if face not in self._told}
        if new and self._node.due("refused faces"):
            self._told |= new.keys()
            why = "; ".join(f"{face}, {why}" for face, why in new.items())
            self._node.get_logger().warning(f"no gaze from the network: {why}; the last is held")
