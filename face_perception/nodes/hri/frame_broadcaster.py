"""Broadcasts the frames of faces on /tf. Imports tf2_msgs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from face_perception import geometry, hri
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.ros.serialized_template import Blocks, Templates
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
        self._templates = Templates()

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
        frames: list[hri.NamedFrame] = []
        for face in faces.values:
            gaze = gazes.get(face.face_id)
            person = gaze.person_id if gaze is not None else ""
            person = hri.person_id_of(face.face_id, person) if self._persons else ""
            frames += hri.face_frames(face, gaze, self._prefix, person)
        if frames:
            names = [frame.name for frame in frames]
            message = self._templates.fill(
                (faces.header.frame_id, *names),
                functools.partial(_transforms, faces.header.frame_id, names),
                faces.header.stamp,
                [np.array([*f.position, *geometry.quaternion(f.rotation)]) for f in frames],
            )
            self._node.publish(self._publisher, message, faces.header)


def _transforms(frame_id: str, names: Sequence[str], stamp: Time, poses: Blocks) -> TFMessage:
    """Returns the message of frames in the frame of the image.

    A pose is a position and a quaternion: x, y, z, x, y, z, w.
    """
    transforms = []
    for name, pose in zip(names, poses, strict=True):
        px, py, pz, x, y, z, w = pose.tolist()
        transform = Transform(
            translation=Vector3(x=px, y=py, z=pz), rotation=Quaternion(x=x, y=y, z=z, w=w)
        )
        header = Header(stamp=stamp, frame_id=frame_id)
        transforms.append(TransformStamped(header=header, child_frame_id=name, transform=transform))
    return TFMessage(transforms=transforms)
