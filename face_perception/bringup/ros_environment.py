"""Checks the environment variables of ROS before anything starts.

With a wrong one, each node ends at once with a message of DDS, and would be started again for ever.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from face_perception.errors import InputError, shortened

_LAST_DOMAIN = 232  # later ones have no UDP ports


def check_ros_environment(environment: Mapping[str, str]) -> None:
    """Raises InputError, with the fix, if ROS_DOMAIN_ID or RMW_IMPLEMENTATION are wrong."""
    domain = environment.get("ROS_DOMAIN_ID", "")
    digits = domain.isascii() and domain.isdecimal() and len(domain) < 10
    if domain and not (digits and int(domain) <= _LAST_DOMAIN):
        raise InputError(
            f"the environment variable ROS_DOMAIN_ID is {shortened(domain)}: set it to a number "
            f"from 0 to {_LAST_DOMAIN}"
        )
    rmw = environment.get("RMW_IMPLEMENTATION", "")
    installed = _installed_rmws(environment.get("AMENT_PREFIX_PATH", ""))
    if rmw and installed and rmw not in installed:
        raise InputError(
            f"the environment variable RMW_IMPLEMENTATION is {shortened(rmw)}, which is not "
            f"installed: install it, or set the variable to {' or '.join(sorted(installed))}"
        )


def _installed_rmws(prefixes: str) -> set[str]:
    """Returns the middlewares in the ament index of these prefixes; none if it cannot be read."""
    found: set[str] = set()
    for prefix in filter(None, prefixes.split(os.pathsep)):
        index = Path(prefix) / "share" / "ament_index" / "resource_index" / "rmw_typesupport"
        if index.is_dir():
            found |= {entry.name for entry in index.iterdir()}
    return found - {"rmw_implementation"}  # chooses one of the others
