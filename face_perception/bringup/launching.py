"""Helpers of the launch files: common arguments, their values, and the processes as actions."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from face_perception.bringup import graph
from face_perception.bringup.supervisor import check_start, say_left_out
from face_perception.errors import InputError
from face_perception.ros.environment import check_ros_environment


def declare_argument(name: str, default: str, description: str, **more: Any) -> Any:
    """Returns a launch argument. ``more`` is passed to ``DeclareLaunchArgument``."""
    from launch.actions import DeclareLaunchArgument

    return DeclareLaunchArgument(name, default_value=default, description=description, **more)


def common_arguments() -> list[Any]:
    """Returns the arguments that all launch files have."""
    levels = ["debug", "info", "warn", "error", "fatal"]
    return [
        declare_argument(
            "params_file", "", "YAML file with parameters, which override those in config/"
        ),
        declare_argument(
            "autostart", "true", "Let the nodes configure and activate themselves (true or false)"
        ),
        declare_argument("respawn", "true", "Restart a node that exits (true or false)"),
        declare_argument("use_sim_time", "false", "Take the time from /clock (true or false)"),
        declare_argument("log_level", "info", "Lowest severity that the nodes log", choices=levels),
    ]


def switch_of(node: graph.NodeSpec) -> Any:
    """Returns the launch argument that starts a node or not."""
    default, values = str(node.by_default).lower(), "true or false"
    if node.package:
        default, values = "auto", f"true, false, or auto: if {node.package} is installed"
    return declare_argument(
        node.name, default, f"Start {node.name}, which {node.purpose} ({values})"
    )


class LaunchValues:
    """Reads the values of launch arguments. Raises InputError, which names an invalid value."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def text(self, name: str) -> str:
        from launch.substitutions import LaunchConfiguration

        return str(LaunchConfiguration(name).perform(self._context)).strip()

    def true(self, name: str) -> bool:
        value = self.text(name).lower()
        if value not in ("true", "false"):
            raise InputError(f"launch argument {name}:={self.text(name)} must be true or false")
        return value == "true"

    def starts(self, node: graph.NodeSpec) -> bool:
        """Returns the value of the argument of ``switch_of``."""
        if node.package and self.text(node.name).lower() == "auto":
            return node.by_default and node.installed
        return self.true(node.name)

    def number(self, name: str) -> int:
        value = self.text(name)
        if not value.isdigit():
            raise InputError(f"launch argument {name}:={value} must be an integer of at least 0")
        return int(value)

    def common(self) -> dict[str, Any]:
        """Returns the fields of ``GraphOptions`` that ``common_arguments`` set."""
        return {
            "namespace": self.text("namespace"),
            "parameter_file": self.text("params_file"),
            "autostart": self.true("autostart"),
            "use_sim_time": self.true("use_sim_time"),
            "log_level": self.text("log_level"),
        }


def launch_actions(options: graph.GraphOptions, *, respawn: bool) -> list[Any]:
    """Returns a launch_ros action for each process of the graph."""
    from launch_ros.actions import Node

    check_ros_environment(os.environ)
    check_start(options)
    say_left_out(options)
    return [
        Node(
            package="face_perception",
            **_run(process),
            # launch does not notice a process that hangs; the guard does.
            prefix=shlex.join([sys.executable, "-m", "face_perception.bringup.guard"]),
            exec_name=process.name,  # in the log, instead of the name of the guard
            additional_env=_environment(process),
            output="screen",
            respawn=respawn,
            respawn_delay=0.5,
        )
        for process in graph.node_processes(options)
    ]


def _run(process: graph.ProcessSpec) -> dict[str, Any]:
    """Returns the arguments of ``launch_ros.actions.Node`` that say what a process runs."""
    if len(process.nodes) > 1:
        # launch_ros configures one node only.
        return {"executable": process.name, "arguments": process.arguments()}
    (node,) = process.nodes
    return {
        "executable": node.name,
        "name": node.name,
        "namespace": node.namespace,
        "remappings": list(node.remaps),
        # Omit an empty dictionary, because launch_ros writes a file for it that rcl rejects.
        "parameters": [*node.parameter_files, *filter(None, [dict(node.parameters)])],
        "arguments": ["--ros-args", "--log-level", node.logger_level()],
    }


def _environment(process: graph.ProcessSpec) -> dict[str, str]:
    """Returns the variables that are added to the environment of a process."""
    ours = graph.process_environment(sends_images=process.sends_images)
    merged = graph.merged_environment(os.environ, sends_images=process.sends_images)
    return {key: merged[key] for key in ours if key in merged}
