"""Filling serialized messages gives the bytes that rclpy makes of the message."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Point32, Polygon, PolygonStamped, Pose, PoseArray
from rclpy.serialization import serialize_message
from std_msgs.msg import Header, String

from face_perception.ros.serialized_template import Blocks, SerializedTemplate, Templates

POINTS = np.arange(21, dtype=np.float64).reshape(3, 7)


def poses(stamp: Time, blocks: Blocks) -> PoseArray:
    """Returns poses; a block is a position and a quaternion."""
    made = PoseArray(header=Header(stamp=stamp, frame_id="camera"))
    for block in blocks:
        pose = Pose(position=Point(**dict(zip("xyz", block[:3].tolist(), strict=True))))
        turn = pose.orientation
        turn.x, turn.y, turn.z, turn.w = block[3:].tolist()
        made.poses.append(pose)
    return made


def test_the_bytes_are_those_of_rclpy() -> None:
    template = SerializedTemplate(poses, POINTS)
    assert template.in_place
    for n in range(3):
        stamp, blocks = Time(sec=n, nanosec=5 * n), POINTS + n
        assert template.fill(stamp, blocks) == serialize_message(poses(stamp, blocks))


def test_a_message_that_spreads_its_numbers_is_made_each_time() -> None:
    """As another distribution may define a message."""

    def heights(stamp: Time, blocks: Blocks) -> PolygonStamped:
        points = [Point32(z=float(z)) for z in blocks[0]]
        return PolygonStamped(header=Header(stamp=stamp), polygon=Polygon(points=points))

    template = SerializedTemplate(heights, [np.ones(3, np.float32)])
    assert not template.in_place
    values = [np.arange(3, dtype=np.float32)]
    assert template.fill(Time(sec=7), values) == serialize_message(heights(Time(sec=7), values))


def test_a_message_is_made_once_for_each_key() -> None:
    made: list[str] = []

    def make(stamp: Time, blocks: Blocks) -> PoseArray:
        made.append("")
        return poses(stamp, blocks)

    templates = Templates()
    for n in range(20):
        for key in ("camera", "other"):
            templates.fill(key, make, Time(sec=n), POINTS)
    assert len(made) == 2


def test_a_message_without_a_stamp() -> None:
    template = SerializedTemplate(lambda stamp, blocks: String(data="x"), [])
    assert template.fill(Time(), []) == serialize_message(String(data="x"))
