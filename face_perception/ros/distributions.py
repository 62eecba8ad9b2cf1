"""What differs between ROS 2 distributions and is needed without rclpy."""

from __future__ import annotations

from collections.abc import Mapping

_BEFORE_KILTED = ("humble", "iron", "jazzy")


def is_before_kilted(environment: Mapping[str, str]) -> bool:
    """Returns whether the variables are those of a distribution before ROS 2 Kilted."""
    return environment.get("ROS_DISTRO") in _BEFORE_KILTED
