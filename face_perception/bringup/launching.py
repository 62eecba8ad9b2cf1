"""Helpers of the launch files: common arguments, their values, and the processes as actions."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from face_perception.bringup import graph
from face_perception.bringup.supervisor import check_start, say, say_left_out
from face_perception.errors import InputError
from face_perception.ros.environment import check_ros_environment
from face_perception.settings import did_you_mean

# The names of the nodes that a launch has planned, in the globals of its context.
_PLANNED = "face_perception_nodes"
# Where PushRosNamespace, SetRemap, SetParameter and SetParametersFromFile leave what they set.
_OF_LAUNCH_ROS = _NAMESPACE, _REMAPS, _PARAMETERS = "ros_namespace", "ros_remaps", "global_params"
_SIMILAR = 0.8  # of two names, so that one is taken for a misspelling of the other


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
    """Reads the values of launch arguments. Raises InputError, which names an invalid value.

    ``arguments`` are the names of the arguments of the launch file ``file``. launch ignores other
    ones: raises InputError if the command line of that file has one. In a file that another one
    includes, only a name that looks misspelt is told: the others may belong to the including file.
    """

    def __init__(self, context: Any, file: str, arguments: Iterable[str]) -> None:
        self._context = context
        known = sorted(arguments)
        typed = [text.partition(":=")[0] for text in context.argv if ":=" in text]
        for name in typed if _is_started(Path(file)) else ():
            if name not in known:
                hint = did_you_mean(name, known) or ": --show-args lists them"
                raise InputError(f"{Path(file).name} has no argument {name}{hint}")
        for name in context.launch_configurations.keys() - {*known, *_OF_LAUNCH_ROS}:
            if difflib.get_close_matches(name, known, 1, _SIMILAR):
                say(f"{Path(file).name} has no argument {name}{did_you_mean(name, known)}")

    def text(self, name: str) -> str:
        from launch.substitutions import LaunchConfiguration

        return str(LaunchConfiguration(name).perform(self._context)).strip()

    def true(self, name: str, allowed: str = "true or false") -> bool:
        value = self.text(name).lower()
        if value not in ("true", "false"):
            raise InputError(f"launch argument {name}:={self.text(name)} must be {allowed}")
        return value == "true"

    def starts(self, node: graph.NodeSpec) -> bool:
        """Returns the value of the argument of ``switch_of``."""
        if not node.package:
            return self.true(node.name)
        if self.text(node.name).lower() == "auto":
            return node.by_default and node.installed
        return self.true(node.name, "true, false or auto")

    def number(self, name: str) -> int:
        value = self.text(name)
        if not value.isdigit():
            raise InputError(f"launch argument {name}:={value} must be an integer of at least 0")
        return int(value)

    def common(self) -> dict[str, Any]:
        """Returns the fields of ``GraphOptions`` that all launch files set.

        These are ``common_arguments``, and what surrounds an include of the file: the actions
        PushRosNamespace, SetRemap, SetParameter and SetParametersFromFile of launch_ros.
        """
        around = self._context.launch_configurations
        return {
            "namespace": self._namespace(around.get(_NAMESPACE) or ""),
            "outer_remaps": tuple(around.get(_REMAPS) or ()),
            "outer_parameters": tuple(around.get(_PARAMETERS) or ()),
            "parameter_file": self.text("params_file"),
            "autostart": self.true("autostart"),
            "use_sim_time": self.true("use_sim_time"),
            "log_level": self.text("log_level"),
        }

    def _namespace(self, pushed: str) -> str:
        """Returns the namespace, below that of PushRosNamespace unless it begins with /."""
        own = self.text("namespace")
        return f"{pushed}/{own}" if pushed and not own.startswith("/") else own


def _is_started(file: Path) -> bool:
    """Returns whether the command line names this launch file, by its package or by its path.

    A robot's own launch file may have the same name.
    """
    by_package = ("face_perception", file.name)
    return by_package in pairwise(sys.argv) or any(
        Path(text).name == file.name and Path(text).resolve() == file.resolve() for text in sys.argv
    )


def launch_actions(context: Any, options: graph.GraphOptions, *, respawn: bool) -> list[Any]:
    """Returns an action of launch for each process of the graph.

    Raises InputError if there is nothing to start, or if one of the nodes runs already.
    """
    from launch.actions import ExecuteProcess
    from launch_ros.substitutions import ExecutableInPackage

    check_ros_environment(os.environ)
    if not options.nodes:
        raise InputError("no node is to be started: set one at least to true, such as gaze:=true")
    _refuse_second_include(context, options)
    check_start(options)
    say_left_out(options)
    return [
        # Not launch_ros's Node: that knows one node a process, and would give what surrounds an
        # include (a namespace, remaps, parameters) only to the last node of a composed process.
        ExecuteProcess(
            # launch does not notice a process that hangs; the launch watchdog does.
            cmd=[
                *(sys.executable, "-m", "face_perception.bringup.launch_watchdog"),
                *(["--respawn"] if respawn else []),
                ExecutableInPackage(package="face_perception", executable=process.name),
                *process.executable_arguments(),
            ],
            name=process.name,  # in the log, instead of that of the watchdog
            # All of it: launch starts a process again in the environment of that moment, when
            # the variables that a group of actions had set are gone.
            env=graph.merged_environment(os.environ, sends_images=process.sends_images),
            output="screen",
            respawn=respawn,
            respawn_delay=0.5,
        )
        for process in graph.node_processes(options)
    ]


def _refuse_second_include(context: Any, options: graph.GraphOptions) -> None:
    """Raises InputError if this launch has already planned nodes of the same names."""
    planned = context.get_locals_as_dict().get(_PLANNED, frozenset())
    if both := sorted(planned.intersection(options.full_names)):
        raise InputError(
            f"{', '.join(both)} would be started twice: give each include its own namespace"
        )
    context.extend_globals({_PLANNED: planned.union(options.full_names)})
