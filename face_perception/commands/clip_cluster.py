"""Analyses many clips on the machines of a Ray cluster (``face-perception run --ray``)."""

from __future__ import annotations

import argparse
import os
import socket
import traceback
from collections.abc import Sequence
from typing import Any

from face_perception.commands.clip_analysis import ClipAnalyser
from face_perception.commands.clip_progress import ClipProgress
from face_perception.commands.clip_task import ClipTask
from face_perception.errors import FacePerceptionError, error_text, one_line
from face_perception.optional_modules import extra

LOCAL = "local"  # address that starts a cluster on this machine for the time of the run
_ANSWERS_WITHIN = 5.0  # seconds
_ATTEMPTS = 3  # to run a clip whose machine was lost, after the first

# Of this process of a worker: the options of its analyser, and the analyser with its networks.
_kept: tuple[dict[str, Any], ClipAnalyser] | None = None


def analyse_on_cluster(
    args: argparse.Namespace, tasks: Sequence[ClipTask], progress: ClipProgress
) -> dict[str, str]:
    """Analyses clips on the cluster at ``args.ray``; returns why some of them failed, by input.

    Each clip is a task that takes one CPU. A clip whose worker or machine is lost is analysed again
    on another one. All machines must see the same files under the same names, and have this version
    of the package and its models. ``progress`` prints the summary of each clip when it is done.
    Raises MissingDependencyError without Ray, and FacePerceptionError if there is no cluster.
    """
    ray = _ray()
    try:
        _check_answers(args.ray)
        ray.init(
            address=None if args.ray == LOCAL else args.ray,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise FacePerceptionError(
            f"there is no Ray cluster at {args.ray} ({one_line(error, 200)}): start one with `ray "
            f"start --head`, or give --ray {LOCAL}"
        ) from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=_ATTEMPTS)(_analyse)
        options = {name: value for name, value in vars(args).items() if name != "run"}
        waiting = {remote.remote(os.getcwd(), options, task): task for task in tasks}
        return _collect(ray, waiting, progress)
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises OSError or ValueError if nothing answers at HOST:PORT; Ray itself waits for minutes.

    Other addresses (auto, local, ray://HOST:PORT) are left to Ray.
    """
    host, colon, port = address.rpartition(":")
    if colon and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN).close()


def _collect(ray: Any, waiting: dict[Any, ClipTask], progress: ClipProgress) -> dict[str, str]:
    failed: dict[str, str] = {}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        task = waiting.pop(done)
        try:
            summary, failure = ray.get(done)
        except ray.exceptions.RayError as error:
            summary = ""
            failure = f"it was given up after {_ATTEMPTS + 1} attempts: {one_line(error, 200)}"
        if summary:
            progress.print(summary)
        if failure:
            failed[task.input] = failure
        progress.finish(task.input)
    return failed


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent
    # Otherwise Ray reinstalls the environment of a driver that runs under uv.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    with extra("--ray", "pip install ray on each machine of the cluster"):
        import ray
        import ray.exceptions
    return ray


def _analyse(folder: str, options: dict[str, Any], task: ClipTask) -> tuple[str, str]:
    """Returns the summary of one clip, and why it failed, or an empty text. Runs on a worker.

    ``folder`` is the folder that relative names of files start from.
    """
    global _kept
    summary: list[str] = []
    try:
        os.chdir(folder)
        if _kept is None or _kept[0] != options:
            _kept = options, ClipAnalyser(argparse.Namespace(**options))
        _kept[1].analyse(task, summary.append)
    except (OSError, FacePerceptionError, ModuleNotFoundError) as error:
        return "\n".join(summary), error_text(error)
    except Exception:
        failure = f"a fault of this package: please report this:\n{traceback.format_exc()}"
        return "\n".join(summary), failure
    return "\n".join(summary), ""
