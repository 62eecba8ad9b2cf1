"""What the launch files have in common: arguments of every graph, and its processes as Nodes."""

from __future__ import annotations

import os
from typing import Any

from face_perception.bringup import graph
from face_perception.errors import InputError


def declare_argument(name: str, default: str, description: str, **more: Any) -> Any:
    """A launch argument."""
    from launch.actions import DeclareLaunchArgument

    return DeclareLaunchArgument(name, default_value=default, description=description, **more)


def common_arguments() -> list[Any]:
    """The arguments that every graph has, after its own."""
    levels = ["debug", "info", "warn", "error", "fatal"]
    return [
        declare_argument("params_file", "", "YAML with parameters, over those of config/"),
        declare_argument(
            "autostart", "true", "Nodes configure and activate themselves (true or false)"
        ),
        declare_argument("respawn", "true", "Start a node again when it ends (true or false)"),
        declare_argument("use_sim_time", "false", "Follow /clock (true or false)"),
        declare_argument("log_level", "info", "Log level", choices=levels),
    ]


class LaunchValues:
    """The arguments as they were given. A value that cannot be raises InputError naming it."""

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

    def number(self, name: str) -> int:
        value = self.text(name)
        if not value.isdigit():
            raise InputError(f"launch argument {name}:={value} must be a whole number")
        return int(value)

    def common(self) -> dict[str, Any]:
        """What ``common_arguments`` say of graph.Options."""
        return {
            "namespace": self.text("namespace"),
            "parameter_file": self.text("params_file"),
            "autostart": self.true("autostart"),
            "use_sim_time": self.true("use_sim_time"),
            "log_level": self.text("log_level"),
        }


def launch_actions(options: graph.GraphOptions, *, respawn: bool) -> list[Any]:
    """Each process of the graph as an action of launch."""
    from launch_ros.actions import Node

    merged = graph.merged_environment(os.environ)
    environment = {key: merged[key] for key in graph.process_environment() if key in merged}
    return [
        Node(
            package="face_perception",
            executable=process.name,
            name=process.name,
            namespace=process.namespace,
            remappings=list(process.remaps),
            # launch_ros writes an empty dictionary as a file that rcl refuses.
            parameters=[*process.parameter_files, *filter(None, [dict(process.parameters)])],
            arguments=["--ros-args", "--log-level", process.logger_level()],
            additional_env=environment,
            output="screen",
            respawn=respawn,
            respawn_delay=0.5,
        )
        for process in graph.node_processes(options)
    ]
