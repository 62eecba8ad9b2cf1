"""Transforming points between frames, with tf2 and without it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped
from rclpy.context import Context
from rclpy.parameter import Parameter
from simulated_time import Keeps
from std_msgs.msg import Header

from face_perception.avatar import Performer
from face_perception.nodes.attention.node import AttentionNode
from face_perception.nodes.talking_face.node import TalkingFaceParameters
from face_perception.nodes.talking_face.steering import Steering
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.tf_frames import Frames
from face_perception.speech import BandMouth

POINT = np.array([1.0, 0.0, 0.0])
KNOWN_TIME = 7_000_000_000  # nanoseconds, the only time of which the buffer has transforms


class Buffer:
    """A stand-in for tf2_ros.Buffer, which no package index has.

    base_link is turned by 90° about z. Like the real one, it knows no frame at first, and knows it
    when it is asked again.
    """

    asked = 0

    def __init__(self) -> None:
        self.times: list[int] = []  # of the transforms that were asked for, nanoseconds; 0: latest

    def can_transform(self, target: str, source: str, time: Any) -> bool:
        return bool(time.nanoseconds == KNOWN_TIME)

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        self.asked += 1
        self.times.append(time.nanoseconds)
        if (target, source) != ("camera", "base_link") or self.asked == 1:
            raise RuntimeError(f'"{source}" passed to lookupTransform does not exist')
        half = 0.5**0.5
        return SimpleNamespace(
            transform=SimpleNamespace(
                rotation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half),
                translation=SimpleNamespace(x=0.0, y=0.0, z=2.0),
            )
        )


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tf2_ros")
    module.Buffer = Buffer  # type: ignore[attr-defined]
    module.TransformListener = (  # type: ignore[attr-defined]
        lambda buffer, node, spin_thread: SimpleNamespace(unregister=lambda: None)
    )
    monkeypatch.setitem(sys.modules, "tf2_ros", module)


def test_points_are_transformed(tf2: None) -> None:
    frames = Frames(SimpleNamespace())
    assert not frames.listening
    with pytest.raises(LookupError, match=r"no transform from base_link to camera"):
        frames.transformed(POINT, "base_link", "camera")
    assert frames.listening
    assert frames.transformed(POINT, "base_link", "camera") == pytest.approx([0, 1, 2])
    with pytest.raises(LookupError, match=r"no transform from map to camera: .* does not exist"):
        frames.transformed(POINT, "map", "camera")
    for long in (("x" * 5000, "camera"), ("map", "x" * 5000)):
        with pytest.raises(LookupError) as error:
            frames.transformed(POINT, *long)
        assert len(str(error.value)) < 500
    frames.destroy()


def test_a_point_is_transformed_at_the_stamp_of_the_image(tf2: None) -> None:
    frames = Frames(SimpleNamespace())
    with pytest.raises(LookupError):
        frames.transformed(POINT, "base_link", "camera")
    for seconds in (7, 8):  # the transform at 8 s has not arrived
        frames.transformed(POINT, "base_link", "camera", Time(sec=seconds))
    assert frames._buffer.times[1:] == [KNOWN_TIME, 0]


@pytest.mark.parametrize("installed", [True, False])
def test_robot_point_in_another_frame(
    installed: bool, tf2: None, domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "tf2_ros", None)
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    overrides = {"robot_frame": "base_link", "robot_point": POINT.tolist(), "autostart": False}
    node = AttentionNode(
        context=context,
        use_global_arguments=False,
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    node.trigger_configure()
    node.trigger_activate()
    header = Header(frame_id="camera")
    assert np.isnan(node._robot(header)).all(), "no transform has arrived"
    if installed:
        assert node._robot(header) == pytest.approx([0, 1, 2])
    else:
        assert np.isnan(node._robot(header)).all()
    assert node._robot(Header(frame_id="base_link")) is None
    (_, problem), *_ = node._problems.values()
    assert "robot_point is in base_link (robot_frame), but " in problem
    assert ("no transform from base_link to camera" in problem) is installed
    assert ("needs tf2_ros, which is not installed" in problem) is not installed
    node.trigger_deactivate()
    assert not node._frames.listening, "an inactive node receives nothing"
    node.close()
    node.destroy_node()
    context.try_shutdown()


class Looks(Keeps):
    """Records where it was told to look."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, float]] = []

    def look_at(self, yaw: float, pitch: float) -> None:
        self.told.append((yaw, pitch))


@pytest.fixture
def node(domain: int) -> Iterator[PerceptionNode[Any]]:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    made: PerceptionNode[Any] = PerceptionNode(
        "face", TalkingFaceParameters, context=context, use_global_arguments=False
    )
    yield made
    made.destroy_node()
    context.try_shutdown()


def test_the_first_point_of_a_frame_waits_for_its_transform(
    tf2: None, node: PerceptionNode[Any]
) -> None:
    face = Looks()
    performer = Performer(BandMouth(), face, face)
    steering = Steering(node, performer, (0.0, 0.0, 0.0), "camera")
    refused = lambda: node.statistics.total("refused")  # noqa: E731

    def point(frame: str) -> None:
        message = PointStamped()
        message.header.frame_id = frame
        message.point.x, message.point.y, message.point.z = POINT
        steering._on_point(message)
        performer.step()

    point("base_link")
    assert (face.told, refused()) == ([], 0)
    steering.release_stale_target(60.0)
    performer.step()
    assert face.told == [pytest.approx((0.0, -np.arctan(0.5)), abs=1e-6)]
    # A frame that never arrives is refused after the timeout, also if the point was sent again.
    for _ in range(3):
        point("map")
        steering.release_stale_target(60.0)
    assert refused() == 0
    steering.release_stale_target(0.0)
    steering.release_stale_target(0.0)
    assert refused() == 1
    # A later point replaces the waiting one.
    point("map")
    point("base_link")
    steering.release_stale_target(0.0)
    assert refused() == 1
    assert len(face.told) == 3, "and back at the viewer"


def test_the_image_frame_needs_no_tf2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    frames = Frames(SimpleNamespace())
    assert frames.transformed(POINT, "camera", "camera") is POINT
    with pytest.raises(LookupError, match="base_link needs tf2_ros, which is not installed"):
        frames.transformed(POINT, "base_link", "camera")
    with pytest.raises(LookupError) as error:
        frames.transformed(POINT, "x" * 5000, "camera")
    assert len(str(error.value)) < 500
    assert not frames.listening
    frames.destroy()
