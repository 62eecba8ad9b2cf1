"""The process of one or several nodes: start of ROS, signals, and an orderly end."""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from face_perception.errors import InputError
from face_perception.exit_codes import EXIT_USAGE
from face_perception.ros.environment import check_ros_environment
from face_perception.ros.in_process import InProcess
from face_perception.ros.node_host import NodeHost
from face_perception.ros.rclpy_compat import UnknownROSArgsError, events_executor
from face_perception.ros.start_ros import start_ros

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


@dataclass(frozen=True)
class NodeStart:
    """A node to run: its class, and its arguments for ROS (``--ros-args …``)."""

    node_type: Callable[..., PerceptionNode[Any]]
    arguments: Sequence[str] = ()


def run(name: str, starts: Sequence[NodeStart]) -> int:
    """Runs nodes in this process until a signal ends it. Returns the exit code of the process.

    ``name`` is that of the process in messages.
    """
    in_process = InProcess()
    ending = threading.Event()

    def end() -> None:
        ending.set()
        in_process.wake()

    _call_at_signals(end)
    try:
        check_ros_environment(os.environ)
        # All arguments, so that wrong ones are reported here and log levels are set. Each node
        # then uses its own.
        problem = start_ros(
            [name, *(a for start in starts for a in (*start.arguments, "--"))],
            # rclpy's own handlers end the context at once: nodes could not say that they leave.
            signal_handler_options=SignalHandlerOptions.NO,
        )
    # Its text states file and line, which the log of rcl does not.
    except (InputError, RuntimeError, UnicodeError) as error:
        return _report_start_error(name, error)
    if problem:
        print(f"{name}: {problem}", file=sys.stderr)
    host = NodeHost(
        name,
        lambda: not ending.is_set(),
        in_process=in_process if len(starts) > 1 else None,
    )
    host.watchdog.start()
    nodes: list[PerceptionNode[Any]] = []
    executor: Executor | None = None
    try:
        for start in starts:
            given = list(start.arguments)
            nodes.append(start.node_type(host=host, cli_args=given, use_global_arguments=False))
        executor = _make_executor(nodes)
        for node in nodes:
            executor.add_node(node)
        in_process.wake = functools.partial(executor.create_task, _nothing)
        more = False
        while host.running():
            host.executor_steps.begin()
            executor.spin_once(timeout_sec=0.0 if more else 0.5)
            more = in_process.deliver()
    finally:
        ending.set()  # an error ends the process, too
        # launch and a terminal may both send a signal; ignore the second.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for node in reversed(nodes):
            node.close()
        in_process.wake = _nothing
        signal.set_wakeup_fd(-1)
        if executor is not None:
            executor.shutdown()
        for node in reversed(nodes):
            node.destroy_node()
        rclpy.try_shutdown()
        host.watchdog.stop()
    sys.stderr.flush()
    return 0


def _call_at_signals(end: Callable[[], None]) -> None:
    """Calls ``end`` on a thread at the first SIGINT or SIGTERM, even if the main thread hangs.

    Python runs the handler of a signal only on its main thread, when ``spin_once`` has returned.
    That handler does nothing here: Python's own would raise KeyboardInterrupt at any place, and
    that of __main__ would leave the shared memory of DDS behind.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        reader.recv(1)
        end()
        while reader.recv(1):  # Python reports a signal that nobody reads as a broken pipe
            pass

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _nothing() -> None:
    """A task of the executor: it ends the waiting of ``spin_once``."""


def _make_executor(nodes: Sequence[PerceptionNode[Any]]) -> Executor:
    """Returns rclpy's EventsExecutor where it has one, unless a node is told not to use it."""
    events = events_executor() if all(node.wants_events_executor for node in nodes) else None
    return events or SingleThreadedExecutor()


def _report_start_error(name: str, error: Exception) -> int:
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
