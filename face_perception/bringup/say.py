"""Has the voice node of a running graph say a text."""

from __future__ import annotations

import math
import time

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor

from face_perception.action import Say
from face_perception.bringup.supervisor import stop_requested_by_signals
from face_perception.ros.start_ros import start_ros

_TIMEOUT = 10.0  # seconds to wait for the node
_LAST = 1.0  # seconds in which a last answer comes after the node has ended


def say(
    text: str, *, namespace: str = "", voice: str = "", speed: float = 0.0, expression: str = ""
) -> tuple[bool, str]:
    """Returns whether a text was said, and what the voice node answers. Ctrl-C interrupts it.

    Empty and 0 stand for the parameters of the node. Raises TimeoutError if the node does not
    answer, and KeyboardInterrupt on Ctrl-C before there is a node.
    """
    start_ros()
    # rclpy's own signal handler would shut the context down before the goal is canceled.
    stop_requested = stop_requested_by_signals()
    node = rclpy.create_node("face_perception_say", namespace=namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    client = ActionClient(node, Say, "say")
    try:
        end = time.monotonic() + _TIMEOUT
        while not client.server_is_ready():
            if stop_requested():
                raise KeyboardInterrupt
            if time.monotonic() > end:
                raise TimeoutError(
                    f"no voice node within {_TIMEOUT:g} s: start one in this namespace, with `ros2 "
                    "launch face_perception avatar.launch.py voice:=true`"
                )
            executor.spin_once(timeout_sec=0.05)
        goal = Say.Goal(text=text, voice=voice, speed=speed, expression=expression)
        sent = client.send_goal_async(goal)
        executor.spin_until_future_complete(sent, timeout_sec=_TIMEOUT)
        if not sent.done():
            raise TimeoutError(f"the voice node did not answer within {_TIMEOUT:g} s")
        handle = sent.result()
        result, canceled, end = handle.get_result_async(), False, math.inf
        while not result.done():
            if stop_requested() and not canceled:
                handle.cancel_goal_async()
                canceled, end = True, time.monotonic() + _TIMEOUT
            if not client.server_is_ready():
                end = min(end, time.monotonic() + _LAST)
            if time.monotonic() > end:
                raise TimeoutError("the voice node ended before it had said the text: see its log")
            executor.spin_once(timeout_sec=0.05)
        answer = result.result().result
        return bool(answer.success), str(answer.message)
    finally:
        client.destroy()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
