"""Analyses many clips on the machines of a Ray cluster (``face-perception run --ray``)."""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Sequence
from typing import Any

from face_perception.commands.clip_analysis import ClipAnalyser
from face_perception.commands.clip_progress import ClipProgress
from face_perception.commands.clip_task import ClipTask
from face_perception.errors import FacePerceptionError, error_text, one_line
from face_perception.ray_cluster import joined

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
    with joined(args.ray) as ray:
        remote = ray.remote(num_cpus=1, max_retries=_ATTEMPTS)(_analyse)
        options = {name: value for name, value in vars(args).items() if name != "run"}
        waiting = {remote.remote(os.getcwd(), options, task): task for task in tasks}
        return _collect(ray, waiting, progress)


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
