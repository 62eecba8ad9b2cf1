"""Arguments that `up` and `demo` share: which graph to start."""

from __future__ import annotations

import argparse
import importlib.util
import os
from typing import Any

from face_perception.bringup import graph
from face_perception.errors import MissingDependencyError


def require_ros() -> None:
    """Raises MissingDependencyError, with the fix, if ROS 2 or the built messages are missing."""
    if importlib.util.find_spec("rclpy") is None:
        raise MissingDependencyError(
            "there is no ROS 2 here (no module rclpy): `make setup` and `source tools/env.sh` in a "
            "clone, or source your ROS 2; `face-perception run` works without"
        )
    if importlib.util.find_spec("face_perception.msg") is None:
        raise MissingDependencyError(
            "face_perception's messages are not built: `colcon build` and source install/setup.bash"
            + (", or `source tools/env.sh`" if os.path.exists("tools/env.sh") else "")
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", default="", help="namespace of all nodes")
    parser.add_argument("--params-file", default="", metavar="YAML", help="parameters of the nodes")
    parser.add_argument(
        "--duration", type=float, default=0.0, metavar="S", help="end after this long; 0: Ctrl-C"
    )
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warn", "error", "fatal")
    )


def options(args: argparse.Namespace, **more: Any) -> graph.GraphOptions:
    return graph.GraphOptions(
        namespace=args.namespace,
        parameter_file=args.params_file,
        log_level=args.log_level,
        **more,
    )
