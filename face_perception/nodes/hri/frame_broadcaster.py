"""Broadcasts the frames of faces on /tf. Imports tf2_msgs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from tf2_msgs.msg import TFMessage

from face_perception import geometry, hri
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import StampJoin
from face_perception.types import Face, Gaze

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_DEPTH = 100  # of /tf, as tf2_ros has it


class FrameBroadcaster:
    """Broadcasts the frames of each image once its faces and its gazes have arrived.

    Make it in the ``setup`` of a node. It waits ``wait`` seconds for the gazes if somebody
    publishes them. With ``persons``, each face also has the frame of its person.
    """

    def __init__(
        self, node: PerceptionNode[Any], *, prefix: str, wait: float, persons: bool
    ) -> None:
        self._node, self._prefix, self._persons = node, prefix, persons
        self._join = StampJoin("faces", wait)
        self._publisher = node.publisher(TFMessage, "/tf", _DEPTH)
        self._gazes: Any = None

    def start(self) -> None:
        """Subscribes to ``gaze``; call it in the ``start`` of the node."""
        self._gazes = self._node.subscribe(
            result_kinds.GAZES,
            "gaze",
            lambda gazes: self.add("gaze", gazes),
            depth=10,
            expected=False,
            wanted=self.wanted,
        )

    def wanted(self) -> bool:
        """Returns whether anybody listens to /tf."""
        return self._node.has_subscribers(self._publisher)

    def add(self, key: str, result: Result[Any]) -> None:
        """Takes a result of the topic ``key``: "faces" or "gaze"."""
        expected = frozenset({"gaze"} if self._gazes.published else ())
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._join.add(key, stamp, result, expected):
            gazes = group["gaze"].values if "gaze" in group else ()
            self._broadcast(group["faces"], {gaze.face_id: gaze for gaze in gazes})

    def _broadcast(self, faces: Result[Face], gazes: Mapping[str, Gaze]) -> None:
        header, transforms = faces.header, []
        for face in faces.values:
            gaze = gazes.get(face.face_id)
            person = gaze.person_id if gaze is not None else ""
            person = hri.person_id_of(face.face_id, person) if self._persons else ""
            for frame in hri.face_frames(face, gaze, self._prefix, person):
                transforms.append(_transform(frame, header))
        if transforms:
            self._node.publish(self._publisher, TFMessage(transforms=transforms), header)


def _transform(frame: hri.NamedFrame, header: Any) -> TransformStamped:
    """Returns the message of a frame in the frame of the image."""
    x, y, z, w = geometry.quaternion(frame.rotation)
    px, py, pz = frame.position.tolist()
    return TransformStamped(
        header=header,
        child_frame_id=frame.name,
        transform=Transform(
            translation=Vector3(x=px, y=py, z=pz), rotation=Quaternion(x=x, y=y, z=z, w=w)
        ),
    )
