"""Checks rclpy, the messages and the middleware; a process of `face-perception doctor`."""

from __future__ import annotations

import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier
from std_msgs.msg import UInt8MultiArray

from face_perception.errors import one_line
from face_perception.ros.start_ros import start_ros


def main(*, dds: bool, timeout: float = 10.0) -> None:
    """Prints one line for each check at once: its name, and what was found.

    ``rclpy`` and its folder; ``messages`` and their file, or ``no_messages`` and the reason; with
    ``dds``, ``middleware`` and its name if it delivered a message of 1 MB, else ``no_middleware``
    and the time that it had, ``timeout`` seconds.
    """
    print("rclpy", rclpy.__path__[0], flush=True)
    try:
        from face_perception import msg
    except Exception as error:  # ImportError, or whatever their libraries raise
        print("no_messages", f"{type(error).__name__}: {one_line(error)}", flush=True)
    else:
        print("messages", msg.__file__, flush=True)
    if not dds:
        return
    if _delivers(timeout):
        print("middleware", get_rmw_implementation_identifier(), flush=True)
    else:
        print("no_middleware", f"{timeout:.0f} s", flush=True)


def _delivers(timeout: float) -> bool:
    """Returns whether a node receives what it publishes to itself."""
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
    node.destroy_node()
    rclpy.try_shutdown()
    return bool(received)
