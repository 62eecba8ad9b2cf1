"""Notices nodes of the same names in the ROS domain, before a graph is started a second time.

Two nodes of one name publish on the same topics: rates double, results mix, and stamps go back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from face_perception.errors import InputError
from face_perception.ros import waiting_times

_TIMEOUT = 30.0  # seconds for one look


def refuse_second_start(
    names: Iterable[str], say: Callable[[str], None], stopped: Callable[[], bool]
) -> None:
    """Raises InputError if nodes of these full names, such as /head/gaze, run in the domain.

    Nodes that are just ending, or were killed, get the time to disappear; ``say`` tells the user
    about the wait, which ends when ``stopped()`` is true. Does nothing if the domain cannot be
    searched: the nodes will say why.
    """
    wanted = set(names)
    end = time.monotonic() + waiting_times.LEASE
    waiting = False
    while both := sorted(wanted & running_nodes()):
        domain = os.environ.get("ROS_DOMAIN_ID") or "0"
        text = f"{', '.join(both)} already run in ROS domain {domain}"
        if stopped():
            return
        if time.monotonic() > end:
            raise InputError(
                f"{text}: stop them first, or start these in another namespace or ROS_DOMAIN_ID"
            )
        if not waiting:
            say(f"{text}: waiting {waiting_times.LEASE:.0f} s for their end")
        waiting = True


def running_nodes() -> set[str]:
    """Returns the full names of the nodes in this domain; none if ROS does not start."""
    command = [sys.executable, "-m", "face_perception.bringup.running_nodes"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
        return set(json.loads(done.stdout)) if done.returncode == 0 else set()
    except (subprocess.TimeoutExpired, ValueError):
        return set()
