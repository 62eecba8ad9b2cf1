"""Transforms points between frames with tf2, if it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time as TimeMsg
from rclpy.node import Node
from rclpy.time import Time

from face_perception import geometry
from face_perception.errors import UnknownNameError, one_line
from face_perception.types import FloatArray


class Frames:
    """Transforms points with tf2, which is imported and subscribes when it is first needed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer: Any = None
        self._listener: Any = None

    def prepare(self, frame: str) -> None:
        """Starts to receive transforms. Raises UnknownNameError if tf2_ros is not installed."""
        if self._buffer is not None:
            return
        try:
            import tf2_ros
        except ImportError as error:
            raise UnknownNameError(
                f"a point in the frame {one_line(frame, 80)} needs tf2_ros, which is not "
                "installed: run `rosdep install`, or give the point in the frame of the image"
            ) from error
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, self._node, spin_thread=False)

    @property
    def listening(self) -> bool:
        """Whether transforms are received, so that an unknown one may still arrive."""
        return self._buffer is not None

    def transformed(
        self, point: FloatArray, frame: str, target: str, stamp: TimeMsg | None = None
    ) -> FloatArray:
        """Returns a point [3] of ``frame`` in the frame ``target``, in metres.

        Uses the transform at ``stamp`` if it is known, else the latest. Raises UnknownNameError, a
        LookupError, if no transform is known.
        """
        if frame == target:
            return point
        self.prepare(frame)
        if stamp is not None and self._buffer.can_transform(target, frame, Time.from_msg(stamp)):
            time = Time.from_msg(stamp)
        else:
            time = Time()  # the latest
        try:
            found = self._buffer.lookup_transform(target, frame, time).transform
        except Exception as error:  # tf2's classes cannot be named where it is not installed
            raise UnknownNameError(
                f"no transform from {one_line(frame, 80)} to {one_line(target, 80)}: "
                f"{one_line(error)}"
            ) from error
        q, t = found.rotation, found.translation
        rotation = geometry.rotation_matrix(q.x, q.y, q.z, q.w)
        moved: FloatArray = rotation @ point + np.array([t.x, t.y, t.z])
        return moved

    def destroy(self) -> None:
        """Stops receiving transforms."""
        if self._listener is not None and hasattr(self._listener, "unregister"):
            self._listener.unregister()
        self._buffer = self._listener = None
