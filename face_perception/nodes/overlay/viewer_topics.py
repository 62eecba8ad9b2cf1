"""Publishes the results as data that viewers draw: RViz, Foxglove. No picture is read for it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from face_perception import overlay
from face_perception.ros import messages
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import StampJoin
from face_perception.types import Face

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

INPUTS = ("faces", "gaze", "attention")  # what these topics are made of
_LIFETIME = 500_000_000  # nanoseconds after which a viewer removes a marker
_FIELDS = ("x", "y", "z", "face")


class ViewerTopics:
    """Publishes ``markers``, ``landmarks``, and ``annotations`` where foxglove_msgs is installed.

    Make it in the ``setup`` of a node. It waits ``wait`` seconds for the results of an image.
    """

    def __init__(self, node: PerceptionNode[Any], wait: float) -> None:
        self._node = node
        self._join = StampJoin("faces", wait)
        self._markers = node.publisher(MarkerArray, "markers", depth=1)
        self._landmarks = node.publisher(PointCloud2, "landmarks", depth=1)
        self._publishers = [self._markers, self._landmarks]
        self._annotations: Any = None
        if importlib.util.find_spec("foxglove_msgs") is not None:
            from face_perception.nodes.overlay.foxglove_annotations import TYPE, message

            self._annotation_message = message
            self._annotations = node.publisher(TYPE, "annotations", depth=1)
            self._publishers.append(self._annotations)

    def wanted(self) -> bool:
        """Returns whether anybody listens to one of the topics."""
        return self._node.has_subscribers(*self._publishers)

    def add(self, topic: str, result: Result[Any], expected: frozenset[str]) -> None:
        """Takes a result of one of ``INPUTS``; those in ``expected`` are waited for."""
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._join.add(topic, stamp, result, expected & {*INPUTS}):
            gazes, attention = (group[k].values if k in group else () for k in INPUTS[1:])
            self._publish(group["faces"], gazes, attention)

    def _publish(self, faces: Result[Face], gazes: Any, attention: Any) -> None:
        node, header = self._node, faces.header
        assert faces.camera is not None, "a result of faces has a camera"
        if node.has_subscribers(self._markers):
            rays = overlay.rays(faces.values, gazes, attention)
            node.publish(self._markers, _markers(rays, header), header)
        if node.has_subscribers(self._landmarks):
            points = overlay.landmark_points(faces.camera, faces.values)
            node.publish(self._landmarks, _cloud(points, header), header)
        if self._annotations is not None and node.has_subscribers(self._annotations):
            lines, labels = overlay.annotation_shapes(faces.camera, faces.values, gazes, attention)
            message = self._annotation_message(lines, labels, header.stamp)
            node.publish(self._annotations, message, header)


def _markers(rays: list[overlay.Ray], header: Any) -> MarkerArray:
    """Returns an arrow for each ray; viewers remove it when no more come."""
    found = []
    for ray in rays:
        red, green, blue = (value / 255 for value in ray.colour)
        marker = Marker(
            header=header,
            ns=f"gaze_{ray.face_id}",
            type=Marker.ARROW,
            action=Marker.ADD,
            points=[Point(x=x, y=y, z=z) for x, y, z in (ray.start.tolist(), ray.end.tolist())],
            # Diameter of the shaft and of the head, and length of the head, metres.
            scale=Vector3(x=0.01, y=0.03, z=0.05),
            color=ColorRGBA(r=red, g=green, b=blue, a=1.0),
        )
        marker.lifetime.nanosec = _LIFETIME
        found.append(marker)
    return MarkerArray(markers=found)


def _cloud(points: Any, header: Any) -> PointCloud2:
    """Returns a cloud of points [N, 4]: x, y, z, and the index of the face."""
    data = np.ascontiguousarray(points, "<f4")
    cloud = PointCloud2(
        header=header,
        height=1,
        width=len(data),
        fields=[
            PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
            for i, name in enumerate(_FIELDS)
        ],
        is_bigendian=False,
        point_step=4 * len(_FIELDS),
        row_step=data.nbytes,
        is_dense=True,
    )
    cloud.data.frombytes(data.tobytes())
    return cloud
