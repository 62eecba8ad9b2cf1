"""The jobs of a sweep: each trains a recipe with its own settings in its own run folder."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception.errors import FacePerceptionError, error_text
from face_perception.files import write_atomically
from face_perception.learning import run_folder, runs
from face_perception.learning.training_loop import LAST
from face_perception.outside_files import one_error, read_json

KILLED = "perhaps the memory is full: give fewer --workers, and repeat the command"
RECIPE, FIGURES = "job.yaml", "figures.json"  # files of a job's folder


@dataclass(frozen=True, slots=True)
class Job:
    """One training: ``changed`` are its values of the swept settings, ``settings`` all it sets."""

    name: str
    changed: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a job: its figures by name, or why it ``failed``."""

    job: Job
    figures: Mapping[str, float]
    failed: str = ""


def run_job(job: Job, data: Path | None, out: Path, split: str) -> Finished:
    """Trains one job in its folder and measures it; continues what an earlier attempt left.

    An error of the recipe or the data, and a fault of this package, are returned as the reason why
    it failed. Processes that are killed return nothing, and their job can be run again.
    """
    folder = out / job.name
    begun = (folder / run_folder.SETTINGS).exists()
    resume = begun and any(folder.rglob(LAST))  # a multitask run has one in each of its parts
    try:
        if data is None and not begun:
            # What an attempt that was killed has painted: pictures, or a part of them.
            for left in folder.glob(f"{run_folder.SYNTHETIC_DATA}*"):
                shutil.rmtree(left, ignore_errors=True)
        runs.train(
            str(folder / RECIPE),
            None if resume else data,
            folder,
            resume=resume,
            name="sweep",
            report=_quiet,
        )
        # A recipe that holds out a person is measured on that person.
        task = str(job.settings.get("task", ""))
        part = split if runs.has_splits(task) and not job.settings.get("hold_out") else None
        figures = runs.evaluate(folder, None, part, _quiet)
        found = {**read_figures(folder), split: figures}
        write_atomically(folder / FIGURES, json.dumps(found, indent=1).encode())
    except (OSError, FacePerceptionError) as error:
        return Finished(job, {}, error_text(error))
    except Exception:
        fault = f"a fault of this package: please report this:\n{traceback.format_exc()}"
        return Finished(job, {}, fault)
    return Finished(job, figures)


def read_figures(folder: Path) -> dict[str, dict[str, float]]:
    """Returns the figures of a job in ``folder`` by split; empty if it was not measured yet.

    Raises InputError if its file is damaged.
    """
    file = folder / FIGURES
    if not file.exists():
        return {}
    with one_error(f"figures {file}", "remove this file"):
        return {str(split): dict(found) for split, found in read_json(file).items()}


def _quiet(_: str) -> None:
    pass
