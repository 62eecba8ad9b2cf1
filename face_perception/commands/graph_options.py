"""Command-line arguments for starting the graph, shared by several commands."""

from __future__ import annotations

import argparse
import importlib.util
import os
from typing import Any

from face_perception.bringup import graph
from face_perception.errors import MissingDependencyError


def require_ros() -> None:
    """Raises MissingDependencyError, with the fix, if ROS 2 or the built messages are missing.

    Raises InputError if an environment variable of ROS is wrong.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise MissingDependencyError(
            "ROS 2 was not found (no module rclpy): source your ROS 2, or run `make setup` and "
            "`source tools/env.sh` in a clone; `face-perception run` needs no ROS"
        )
    if importlib.util.find_spec("face_perception.msg") is None:
        raise MissingDependencyError(
            "the messages of face_perception are not built: run `colcon build` and source "
            "install/setup.bash"
            + (", or `source tools/env.sh`" if os.path.exists("tools/env.sh") else "")
        )
    from face_perception.ros.environment import check_ros_environment

    check_ros_environment(os.environ)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that ``options`` reads, and ``--duration``."""
    add_namespace(parser)
    parser.add_argument(
        "--params-file",
        default="",
        metavar="FILE.yaml",
        help="parameters of the nodes; they override those of the package",
    )
    add_duration(parser)
    add_log_level(parser)


def add_namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--namespace", default="", help="ROS namespace of the nodes, such as head; default: none"
    )


def add_composed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--composed",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="run the nodes that perceive in one process, which needs less CPU and memory; a crash "
        "then ends all of them; default: one process a node",
    )


def add_duration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--duration",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds until the command ends; default: 0, until Ctrl-C",
    )


def add_log_level(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warn", "error", "fatal"),
        help="lowest severity that the nodes log; default: %(default)s",
    )


def options(args: argparse.Namespace, **more: Any) -> graph.GraphOptions:
    """Returns the options of the graph. ``more`` are further fields of ``GraphOptions``."""
    return graph.GraphOptions(
        namespace=args.namespace,
        parameter_file=args.params_file,
        log_level=args.log_level,
        **more,
    )
