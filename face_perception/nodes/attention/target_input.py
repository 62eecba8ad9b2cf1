"""Collects named targets from the parameter and from markers, and places them with tf2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
from face_perception.errors import InputError, one_line
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.tf_frames import Frames

_DELETE, _DELETE_ALL = 2, 3  # Marker.DELETE, Marker.DELETEALL


@dataclass(frozen=True, slots=True)
class _Marked:
    """A target of a marker that came at ``at`` and ends after ``lifetime``, seconds."""

    target: NamedTarget
    at: float
    lifetime: float

    def lasts(self, now: float) -> bool:
        """Returns whether the target is there at ``now``, seconds of the ROS clock.

        A marker with a lifetime also ends when the clock goes back, as a bag that loops makes it.
        """
        return self.lifetime == math.inf or 0 <= now - self.at < self.lifetime


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
        self._marked: dict[tuple[str, int], _Marked] = {}  # by namespace and id
        node.subscribe(
            MarkerArray,
            "targets",
            self._on_markers,
            depth=10,
            latched=True,  # places that never move may be published once
            expected=False,
            wanted=wanted,
        )

    def change_text(self, text: str) -> None:
        """Uses another value of the parameter. Raises InputError if it cannot be read."""
        self._fixed = parse_targets(text)

    def spheres(self, header: Any) -> dict[str, Sphere]:
        """Returns the targets in the frame of an image, by name, without those that have no place.

        A target whose frame has no transform is left out, with a warning.
        """
        self._marked = self._lasting()
        placed = {}
        for target in merged_targets(self._fixed, (one.target for one in self._marked.values())):
            frame = target.frame or header.frame_id
            point = np.array(target.point, np.float64)
            try:
                centre = self._frames.transformed(point, frame, header.frame_id, header.stamp)
            except LookupError as error:
                self._node.warn_throttled(
                    f"target {target.name} is in the frame {one_line(frame, 80)}, but {error}: "
                    "nobody is said to look at it",
                    key=f"target {target.name}",
                )
                continue
            placed[target.name] = target.placed(centre)
        return placed

    def _on_markers(self, message: MarkerArray) -> None:
        """Takes all markers of a message, or none if one of them is wrong."""
        marked = self._lasting()
        for marker in message.markers:
            if marker.action == _DELETE_ALL:
                marked.clear()
            elif marker.action == _DELETE:
                marked.pop((marker.ns, marker.id), None)
            else:
                marked[marker.ns, marker.id] = self._read(marker)
        check_targets(one.target for one in marked.values())
        self._marked = marked

    def _lasting(self) -> dict[tuple[str, int], _Marked]:
        now = self._node.ros_seconds()
        return {key: one for key, one in self._marked.items() if one.lasts(now)}

    def _read(self, marker: Marker) -> _Marked:
        name = (marker.text or marker.ns).strip()
        if not name:
            raise InputError(f"marker {marker.id} has no name: set its text or its ns")
        place, scale = marker.pose.position, marker.scale
        radius = max(scale.x, scale.y, scale.z) / 2
        target = NamedTarget(name, (place.x, place.y, place.z), radius, marker.header.frame_id)
        lifetime = marker.lifetime.sec + marker.lifetime.nanosec * 1e-9
        return _Marked(target, self._node.ros_seconds(), lifetime if lifetime > 0 else math.inf)
