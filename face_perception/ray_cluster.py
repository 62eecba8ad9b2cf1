"""Joins a Ray cluster, on which clips are analysed and networks are trained."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from face_perception.errors import FacePerceptionError, one_line
from face_perception.optional_modules import extra

LOCAL = "local"  # address that starts a cluster on this machine for the time of the run
_ANSWERS_WITHIN = 5.0  # seconds


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Joins the cluster at ``address`` and yields the module ``ray``; leaves it at the end.

    Raises MissingDependencyError without Ray, and FacePerceptionError if there is no cluster.
    """
    ray = _ray()
    try:
        _check_answers(address)
        ray.init(
            address=address,  # "local", and not None, which joins a cluster that was killed
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise FacePerceptionError(
            f"there is no Ray cluster at {address} ({one_line(error, 200)}): start one with `ray "
            f"start --head`, or give --ray {LOCAL}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises OSError or ValueError if nothing answers at HOST:PORT; Ray itself waits for minutes.

    Other addresses (auto, local, ray://HOST:PORT) are left to Ray.
    """
    host, colon, port = address.rpartition(":")
    if colon and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN).close()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent
    # Otherwise Ray reinstalls the environment of a driver that runs under uv.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    with extra("--ray", "pip install ray on each machine of the cluster"):
        import ray
        import ray.exceptions
    return ray
