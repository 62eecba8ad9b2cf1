"""The process of a node: start of ROS, signals, and an orderly end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from face_perception.exit_codes import EXIT_USAGE
from face_perception.ros.rclpy_compat import UnknownROSArgsError

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


def run(node_type: Callable[[], PerceptionNode[Any]], args: list[str] | None = None) -> int:
    """Runs a node until a signal ends it. Returns the exit code of the process."""
    node = None
    executor = None
    # rclpy also calls the handlers that were installed before. Those of __main__ would end the
    # process at once and leave the shared memory of DDS behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.unraisablehook = _unraisable
    try:
        try:
            rclpy.init(args=args)
        except (RuntimeError, UnicodeError) as error:
            return _report_start_error(os.path.basename((args or sys.argv)[0]), error)
        try:
            node = node_type()
            node.watchdog.start()
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while rclpy.ok():
                node.executor_steps.begin()
                executor.spin_once(timeout_sec=0.5)
        except Exception:
            # While the process shuts down, calls on the invalid context raise several errors.
            if rclpy.ok():
                raise
    except KeyboardInterrupt:
        pass  # may follow such an error, because rclpy's handler runs before Python's
    finally:
        # launch and a terminal may both send a signal; ignore the second.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if node is not None:
            node.close()
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        if node is not None:
            node.watchdog.stop()
    sys.stderr.flush()
    return 0


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    # Python only reports a Ctrl-C during a __del__; rclpy has already ended the context then.
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def _report_start_error(name: str, error: RuntimeError | UnicodeError) -> int:
    """Prints why ROS did not start, and returns the exit code.

    The errors of rclpy state file and line of a wrong parameter file, which rcl's log does not.
    """
    text = f"{name} cannot start: "
    if isinstance(error, UnknownROSArgsError):
        text += "unknown ROS arguments "
    if isinstance(error, UnicodeError):
        text += "an argument is not UTF-8 text, which ROS needs: "
    text += str(error)
    logging_failed = "failed to initialize logging" in text
    if logging_failed:
        text += ". Set ROS_LOG_DIR to a folder that can be written"
    print(text, file=sys.stderr)
    return 1 if logging_failed else EXIT_USAGE
