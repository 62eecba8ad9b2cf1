"""The named targets that the attention node reads from markers, at all times of the ROS clock."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from face_perception.attention import named_targets
from face_perception.errors import InputError
from face_perception.nodes.attention.target_input import TargetInput

HEADER = Header(frame_id="camera")


class Targets:
    """A target input whose node and frames are replaced; ``now`` is the ROS clock, seconds."""

    def __init__(self, text: str = "") -> None:
        self.now = 100.0
        self.options: dict[str, Any] = {}
        node: Any = SimpleNamespace(ros_seconds=lambda: self.now, subscribe=self._subscribe)
        frames: Any = SimpleNamespace(transformed=lambda point, *_: np.asarray(point))
        self.input = TargetInput(node, frames, text, lambda: True)

    def _subscribe(
        self, kind: type, topic: str, callback: Callable[[Any], None], **options: Any
    ) -> None:
        self.take, self.options = callback, options

    def show(self, *markers: Marker) -> None:
        self.take(MarkerArray(markers=list(markers)))

    def names(self) -> list[str]:
        return sorted(self.input.spheres(HEADER))


def marker(name: str, number: int = 0, lifetime: int = 0, action: int = Marker.ADD) -> Marker:
    made = Marker(ns="things", id=number, text=name, action=action)
    made.lifetime = Duration(sec=lifetime)
    made.scale.x = 0.2
    return made


def test_a_full_list_of_markers_leaves_the_parameter_its_targets() -> None:
    targets = Targets("door=1.5,0,3,0.5")
    most = named_targets.MAX_TARGETS
    targets.show(*(marker(f"thing {k}", k) for k in range(most)))
    assert len(targets.names()) == most + 1
    with pytest.raises(InputError, match=f"at most {most} are allowed"):
        targets.show(marker("one more", most))
    assert len(targets.names()) == most + 1, "the message is refused, and the others stay"


def test_an_outlived_marker_does_not_block_its_name() -> None:
    """No image has come since, so nothing has asked for the targets."""
    targets = Targets()
    targets.show(marker("cup", 1, lifetime=1))
    with pytest.raises(InputError, match="two targets are called cup"):
        targets.show(marker("cup", 2))
    targets.now += 1.5
    targets.show(marker("cup", 2))
    assert targets.names() == ["cup"]


def test_a_clock_that_goes_back_ends_what_has_a_lifetime() -> None:
    targets = Targets()
    targets.show(marker("cup", 1, lifetime=5), marker("door", 2))
    targets.now += 1.0
    assert targets.names() == ["cup", "door"]
    targets.now -= 50.0
    assert targets.names() == ["door"]


def test_what_was_published_once_before_is_read() -> None:
    assert Targets().options["latched"]


def test_markers_are_deleted() -> None:
    targets = Targets()
    targets.show(marker("cup", 1), marker("door", 2))
    targets.show(marker("", 1, action=Marker.DELETE))
    assert targets.names() == ["door"]
    targets.show(marker("", action=Marker.DELETEALL), marker("lamp", 3))
    assert targets.names() == ["lamp"]
