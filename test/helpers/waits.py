"""Timeouts of tests. Imports neither ROS nor torch."""

from __future__ import annotations

import os

FACTOR_NAME = "FACE_PERCEPTION_TEST_TIMEOUT_FACTOR"


def timeout_factor() -> float:
    """Returns the number that multiplies every timeout of the tests.

    Set it with FACE_PERCEPTION_TEST_TIMEOUT_FACTOR on a slow or busy machine. Without the variable
    it is 1, or 3 where pytest-xdist runs more tests at once than there are cores.
    """
    default = "3" if "PYTEST_XDIST_WORKER" in os.environ else "1"
    return float(os.environ.get(FACTOR_NAME, default))


def scaled(seconds: float) -> float:
    """Returns a timeout in seconds, multiplied by the factor."""
    return seconds * timeout_factor()
