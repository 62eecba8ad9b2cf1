"""Fuzzes the message and service handlers of a real node, in this process."""

from __future__ import annotations

import atexit
import os
import random
import tempfile

from node_handlers import ALLOWED, NodeHandlers

from bench.fuzzing.mutations import seeds_of_inputs
from bench.fuzzing.target import Target

_DOMAIN = "101"  # none of those that the tests use
_STARTS_IN = 300.0  # seconds; a busy machine needs long


def node_target(name: str) -> Target:
    """Returns the target of a node, which is then running in this process."""
    os.environ["ROS_DOMAIN_ID"] = _DOMAIN
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()  # persons and sessions of nobody
    node = NodeHandlers(name, timeout=_STARTS_IN)
    atexit.register(node.close)  # its threads

    return Target(
        f"{name} node", ALLOWED, seeds_of_inputs, lambda data: node.call_one(random.Random(data))
    )
