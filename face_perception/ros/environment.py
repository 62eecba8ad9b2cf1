"""Checks the environment variables of ROS before anything starts.

With a wrong one, each node ends at once with a message of DDS, and would be started again for ever;
or the nodes start, and do not find each other.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from face_perception.errors import InputError, shortened

_LAST_DOMAIN = 232  # later ones have no UDP ports
_LONGEST_PEER = 255  # characters; rcl drops the peers after a longer one

# Values that ROS knows. With another one, rcl takes a default, and says so at most once a node.
_CHOICES = {
    "ROS_AUTOMATIC_DISCOVERY_RANGE": ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT"),
    "ROS_LOCALHOST_ONLY": ("0", "1"),
    "ROS_SECURITY_ENABLE": ("true", "false"),
    "ROS_SECURITY_STRATEGY": ("Enforce", "Permissive"),
    "RCUTILS_COLORIZED_OUTPUT": ("0", "1"),
    "RCUTILS_LOGGING_BUFFERED_STREAM": ("0", "1"),
    "RCUTILS_LOGGING_USE_STDOUT": ("0", "1"),
}
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
FAST_DDS = ("", "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")  # "": the default of ROS
# One server of ROS_DISCOVERY_SERVER: host and port, perhaps with the kind of the transport.
_SERVER = re.compile(
    r"(?:(?:UDP|TCP)v[46]:)?(?:\[[\w.:%-]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?", re.ASCII
)


def check_ros_environment(environment: Mapping[str, str]) -> None:
    """Raises InputError, with the fix, if a variable of ROS 2 or Fast DDS has a wrong value.

    Looks up the hosts in ROS_STATIC_PEERS, as the nodes do.
    """
    for fault in _faults(environment):
        raise InputError(f"the environment variable {fault}")


def _faults(environment: Mapping[str, str]) -> Iterator[str]:
    """Yields what is wrong with the variables: name, value and fix."""
    domain = environment.get("ROS_DOMAIN_ID", "")
    digits = domain.isascii() and domain.isdecimal() and len(domain) < 10
    if domain and not (digits and int(domain) <= _LAST_DOMAIN):
        yield (f"ROS_DOMAIN_ID is {shortened(domain)}: set it to a number from 0 to {_LAST_DOMAIN}")
    for name, known in _CHOICES.items():
        value = environment.get(name, "")
        if value and value not in known:
            yield f"{name} is {shortened(value)}: set it to {' or '.join(known)}"
    rmw = environment.get("RMW_IMPLEMENTATION", "")
    installed = _installed_rmws(environment.get("AMENT_PREFIX_PATH", ""))
    if rmw and installed and rmw not in installed:
        yield (
            f"RMW_IMPLEMENTATION is {shortened(rmw)}, which is not installed: install it, or set "
            f"the variable to {' or '.join(sorted(installed))}"
        )
    if rmw in FAST_DDS:
        yield from _faults_of_fast_dds(environment)
    if environment.get("ROS_SECURITY_ENABLE") == "true":
        yield from _faults_of_security(environment)


def _faults_of_fast_dds(environment: Mapping[str, str]) -> Iterator[str]:
    for peer in environment.get("ROS_STATIC_PEERS", "").split(";"):
        if peer and not _is_host(peer):
            yield (
                f"ROS_STATIC_PEERS has {shortened(peer)}, which is neither an IPv4 address nor "
                "the name of a host that can be found: write addresses or names, without spaces "
                "and ports, with a semicolon between two of them"
            )
    for server in environment.get("ROS_DISCOVERY_SERVER", "").split(";"):
        found = _SERVER.fullmatch(server)
        if server and not (found and 0 < int(found["port"] or 1) < 1 << 16):
            yield (
                f"ROS_DISCOVERY_SERVER has {shortened(server)}: write a host and a port, such as "
                "192.168.1.2:11811, with a semicolon between two of them"
            )
    for name in _PROFILES:
        path = environment.get(name, "")
        if path and not Path(path).is_file():
            yield f"{name} is {shortened(path)}, which is not a file: correct it, or unset it"


def _faults_of_security(environment: Mapping[str, str]) -> Iterator[str]:
    store = environment.get("ROS_SECURITY_KEYSTORE", "")
    if not store:
        yield (
            "ROS_SECURITY_KEYSTORE is missing, and ROS_SECURITY_ENABLE is true: set it to the "
            "folder that `ros2 security create_keystore` made"
        )
    elif not Path(store, "enclaves").is_dir():
        yield (
            f"ROS_SECURITY_KEYSTORE is {shortened(store)}, which has no folder enclaves: set it to "
            "the folder that `ros2 security create_keystore` made"
        )


def _is_host(peer: str) -> bool:
    """Returns whether Fast DDS finds the IPv4 address of a peer."""
    if len(peer) > _LONGEST_PEER:
        return False
    try:
        socket.getaddrinfo(peer, None, socket.AF_INET)
    except (OSError, UnicodeError):  # UnicodeError: an empty or an overlong part of the name
        return False
    return True


def _installed_rmws(prefixes: str) -> set[str]:
    """Returns the middlewares in the ament index of these prefixes; none if it cannot be read."""
    found: set[str] = set()
    for prefix in filter(None, prefixes.split(os.pathsep)):
        index = Path(prefix) / "share" / "ament_index" / "resource_index" / "rmw_typesupport"
        if index.is_dir():
            found |= {entry.name for entry in index.iterdir()}
    return found - {"rmw_implementation"}  # chooses one of the others
