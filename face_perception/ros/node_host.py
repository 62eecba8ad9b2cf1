"""What the nodes of one process share: its watchdog, the executor's steps, topics inside it."""

from __future__ import annotations

from collections.abc import Callable

import rclpy
from rclpy.logging import get_logger

from face_perception.ros import waiting_times
from face_perception.ros.in_process import InProcess
from face_perception.ros.watchdog import Activity, Watchdog


class NodeHost:
    """The process of one or several nodes, as the nodes see it.

    ``name`` is that of the process in the log. ``running()`` returns false once the process has
    been told to end. ``in_process`` are the topics inside a process of several nodes.
    ``node_process`` starts the watchdog, and begins a step of the executor at each spin.
    """

    def __init__(
        self,
        name: str,
        running: Callable[[], bool] = rclpy.ok,
        in_process: InProcess | None = None,
    ) -> None:
        self.running = running
        self.in_process = in_process
        self.watchdog = Watchdog(running, lambda reason: get_logger(name).fatal(reason))
        self.executor_steps = Activity("a callback", waiting_times.STUCK)
        self.watchdog.add(self.executor_steps)
