"""Collects named targets from the parameter and from markers, and places them with tf2."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from visualization_msgs.msg import Marker, MarkerArray

from face_perception.attention import (
    NamedTarget,
    Sphere,
    check_targets,
    merged_targets,
    parse_targets,
)
from face_perception.errors import InputError
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.tf_frames import Frames

_DELETE, _DELETE_ALL = 2, 3  # Marker.DELETE, Marker.DELETEALL


class TargetInput:
    """The named targets of the parameter ``targets`` and of the topic ``targets``.

    A marker is a target: ``text``, or without it ``ns``, is its name, ``pose.position`` its centre,
    half of the largest ``scale`` its radius, and its frame that of the header. ``action`` and
    ``lifetime`` work as in RViz. A target of the topic replaces one of the parameter with its name.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        frames: Frames,
        text: str,
        wanted: Callable[[], bool],
    ) -> None:
        self._node, self._frames = node, frames
        self._fixed = parse_targets(text)
        # By namespace and id: the target, and the time at which it ends, seconds of the ROS clock.
        self._marked: dict[tuple[str, int], tuple[NamedTarget, float]] = {}
        node.subscribe(
            MarkerArray, "targets", self._on_markers, depth=10, expected=False, wanted=wanted
        )

    def change_text(self, text: str) -> None:
        """Uses another value of the parameter. Raises InputError if it cannot be read."""
        self._fixed = parse_targets(text)

    def spheres(self, header: Any) -> dict[str, Sphere]:
        """Returns the targets in the frame of an image, by name, without those that have no place.

        A target whose frame has no transform is left out, with a warning.
        """
        now = self._now()
        self._marked = {key: found for key, found in self._marked.items() if found[1] > now}
        marked = [target for target, _ in self._marked.values()]
        placed = {}
        for target in merged_targets(self._fixed, marked):
            frame = target.frame or header.frame_id
            point = np.array(target.point, np.float64)
            try:
                centre = self._frames.transformed(point, frame, header.frame_id, header.stamp)
            except LookupError as error:
                self._node.warn_throttled(
                    f"target {target.name} is in the frame {frame}, but {error}: nobody is said to "
                    "look at it",
                    key=f"target {target.name}",
                )
                continue
            placed[target.name] = target.placed(centre)
        return placed

    def _on_markers(self, message: MarkerArray) -> None:
        """Takes all markers of a message, or none if one of them is wrong."""
        marked = dict(self._marked)
        for marker in message.markers:
            if marker.action == _DELETE_ALL:
                marked.clear()
            elif marker.action == _DELETE:
                marked.pop((marker.ns, marker.id), None)
            else:
                marked[marker.ns, marker.id] = self._read(marker)
        check_targets(target for target, _ in marked.values())
        self._marked = marked

    def _read(self, marker: Marker) -> tuple[NamedTarget, float]:
        name = (marker.text or marker.ns).strip()
        if not name:
            raise InputError(f"marker {marker.id} has no name: set its text or its ns")
        place, scale = marker.pose.position, marker.scale
        radius = max(scale.x, scale.y, scale.z) / 2
        target = NamedTarget(name, (place.x, place.y, place.z), radius, marker.header.frame_id)
        lasts = marker.lifetime.sec + marker.lifetime.nanosec * 1e-9
        return target, self._now() + lasts if lasts > 0 else math.inf

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9
