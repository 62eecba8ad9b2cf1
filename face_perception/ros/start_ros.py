"""Starts ROS in this process, also where it cannot write its log files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy

from face_perception.files import check_writable

_NO_FILES = ("--ros-args", "--disable-external-lib-logs", "--")


def start_ros(arguments: Sequence[str] = (), **options: Any) -> str:
    """Starts ROS as ``rclpy.init`` does, whose errors it raises and whose ``options`` it takes.

    Writes no log files if their default folder cannot be written, as on a read-only disk, or is not
    known because HOME is not set. The result then says why; else it is empty. If ROS_LOG_DIR or
    ROS_HOME names a folder that cannot be written, ROS does not start.
    """
    problem = _problem_of_log_files()
    rclpy.init(args=[*arguments, *(_NO_FILES if problem else ())], **options)
    return problem


def _problem_of_log_files() -> str:
    if os.environ.get("ROS_LOG_DIR") or os.environ.get("ROS_HOME"):
        return ""
    reason = "HOME is not set"
    if home := os.environ.get("HOME"):
        folder = Path(home) / ".ros" / "log"
        try:
            check_writable(folder)
        except OSError as error:
            reason = f"{folder} cannot be written ({error.strerror})"
        else:
            return ""
    return (
        f"no log file is written, because {reason}: set ROS_LOG_DIR to a folder that can be written"
    )
