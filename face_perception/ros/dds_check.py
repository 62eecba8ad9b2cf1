"""Checks that the middleware delivers a message of 1 MB; a process of `face-perception doctor`."""

from __future__ import annotations

import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier
from std_msgs.msg import UInt8MultiArray

from face_perception.ros.start_ros import start_ros


def main(timeout: float = 10.0) -> None:
    """Publishes to itself; prints the name of the middleware on success, else an empty line.

    Gives up after ``timeout`` seconds.
    """
    start_ros()
    node = Node("face_perception_doctor")
    received: list[Any] = []
    node.create_subscription(UInt8MultiArray, "~/echo", received.append, 1)
    publisher = node.create_publisher(UInt8MultiArray, "~/echo", 1)
    message = UInt8MultiArray()
    message.data.frombytes(bytes(1_000_000))
    end = time.monotonic() + timeout
    while not received and time.monotonic() < end:
        publisher.publish(message)
        rclpy.spin_once(node, timeout_sec=0.2)
    print(get_rmw_implementation_identifier() if received else "")
    node.destroy_node()
    rclpy.try_shutdown()
