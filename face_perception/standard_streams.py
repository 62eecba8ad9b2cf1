"""Replaces standard streams that are closed, as those of a service may be."""

from __future__ import annotations

import os
import sys


def replace_closed_streams() -> None:
    """Replaces closed standard streams by ones that drop everything.

    Otherwise the next file that is opened gets the number of a closed stream, and libraries write
    their errors into it; rclpy's executor does not start without ``sys.stderr``.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the smallest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open until the end)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
