"""The process of a node: why ROS does not start, signals, and an end in order."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from face_perception.ros.rclpy_compat import UnknownROSArgsError

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


def run(node_type: Callable[[], PerceptionNode[Any]], args: list[str] | None = None) -> int:
    """Runs one node until it is told to end: the ``main`` of every node. Returns the exit code."""
    node = None
    executor = None
    # rclpy calls the handlers that it finds as well: those of __main__ would end the process here,
    # with DDS's shared memory left behind for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.unraisablehook = _unraisable
    try:
        try:
            rclpy.init(args=args)
        except RuntimeError as error:  # which has the file and the line; rcl's own log has not
            _say_why_ros_does_not_start(os.path.basename((args or sys.argv)[0]), error)
            return 1
        try:
            node = node_type()
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while rclpy.ok():
                executor.spin_once(timeout_sec=0.5)
        except Exception:
            # While shutting down, the context goes away under calls, with errors of several kinds.
            if rclpy.ok():
                raise
    except KeyboardInterrupt:
        pass  # which may come after such an error: rclpy's handler is before ours
    finally:
        # Told once is enough: launch and a terminal may both do so.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if node is not None:
            node.close()
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    sys.stderr.flush()
    return 0


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    # Ctrl-C in a __del__ of rclpy's goes no further; its handler has ended the context by then.
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def _say_why_ros_does_not_start(name: str, error: RuntimeError) -> None:
    text = f"{name} cannot start: "
    if isinstance(error, UnknownROSArgsError):
        text += "unknown ROS arguments "
    text += str(error)
    if "failed to initialize logging" in text:
        text += ". ROS_LOG_DIR may name a folder that can be written"
    print(text, file=sys.stderr)
