"""Trains a recipe in a run folder, or evaluates such a run, by the module of its task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from face_perception.errors import InputError
from face_perception.inference import ModelBuild
from face_perception.learning import run_folder
from face_perception.learning.dilated_net import runs as dilated_net_runs
from face_perception.learning.dilated_net.recipe import DilatedNetRecipe
from face_perception.learning.geddnet import runs as geddnet_runs
from face_perception.learning.geddnet.recipe import GazeRecipe
from face_perception.learning.mimamo import runs as mimamo_runs
from face_perception.learning.mimamo.recipe import MimamoRecipe
from face_perception.learning.mouth import runs as mouth_runs
from face_perception.learning.mouth.recipe import MouthRecipe
from face_perception.learning.multitask import runs as multitask_runs
from face_perception.learning.multitask.recipe import MultitaskRecipe
from face_perception.learning.musetalk import runs as musetalk_runs
from face_perception.learning.musetalk import syncnet_runs
from face_perception.learning.musetalk.recipe import MuseTalkRecipe
from face_perception.learning.musetalk.syncnet_recipe import SyncNetRecipe
from face_perception.learning.recipe import recipe_file, task_of
from face_perception.learning.several_machines import launched
from face_perception.learning.small_action_units import runs as small_action_units_runs
from face_perception.learning.small_action_units.recipe import SmallActionUnitsRecipe
from face_perception.learning.small_gaze import runs as small_gaze_runs
from face_perception.learning.small_gaze.recipe import SmallGazeRecipe

# Task of a recipe -> the module with its ``train``, ``evaluate`` and names of ``FIGURES``.
TASKS: dict[str, ModuleType] = {
    "dilated_net": dilated_net_runs,
    "geddnet": geddnet_runs,
    "multitask": multitask_runs,
    "mimamo": mimamo_runs,
    "mouth": mouth_runs,
    "musetalk": musetalk_runs,
    "small_action_units": small_action_units_runs,
    "small_gaze": small_gaze_runs,
    "syncnet": syncnet_runs,
}
# Task -> the dataclass of its settings.
_RECIPES: dict[str, type[Any]] = {
    "dilated_net": DilatedNetRecipe,
    "geddnet": GazeRecipe,
    "multitask": MultitaskRecipe,
    "mimamo": MimamoRecipe,
    "mouth": MouthRecipe,
    "musetalk": MuseTalkRecipe,
    "small_action_units": SmallActionUnitsRecipe,
    "small_gaze": SmallGazeRecipe,
    "syncnet": SyncNetRecipe,
}
_DEFAULT_TASK = "geddnet"  # of a recipe that names no task
_WITHOUT_SPLITS = ("mouth",)  # tasks that are always measured on the same held-out people
# Tasks of which processes that torchrun or SLURM started can train one network together: they only
# read a data set, and write nothing between.
_TOGETHER = ("dilated_net", "geddnet")


def recipe_type(task: str, file: Path) -> type[Any]:
    """Returns the dataclass of the settings of ``task`` (empty: the default) in ``file``.

    Raises InputError for an unknown task.
    """
    _check_task(task or _DEFAULT_TASK, file)
    return _RECIPES[task or _DEFAULT_TASK]


def figures_of(task: str) -> tuple[str, ...]:
    """Returns the names of the figures of ``evaluate`` for a task (empty: the default).

    Names that depend on the data are patterns, such as ``*_auc``.
    """
    figures: tuple[str, ...] = TASKS[task or _DEFAULT_TASK].FIGURES
    return figures


def has_splits(task: str) -> bool:
    """Returns whether ``evaluate`` measures a task (empty: the default) on a split of its data."""
    return task not in _WITHOUT_SPLITS


def _check_task(task: str, file: Path) -> None:
    if task not in TASKS:
        raise InputError(f"{file}: task {task!r} is not known: use one of {', '.join(TASKS)}")


def train(
    recipe_name: str,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> ModelBuild:
    """Trains a network, evaluates it on the split ``test``, and returns it as a model.

    Without ``data``, synthetic people are painted into ``out/data``. With ``resume``, settings and
    data are those of the run in ``out``. ``report`` gets one line of progress at a time. Processes
    that torchrun or SLURM started train one network together; ``out`` must be shared by all. Raises
    InputError that names what is wrong with the recipe, the data or the folder.
    """
    file = recipe_file(recipe_name)
    task = task_of(out / run_folder.SETTINGS if resume else file) or _DEFAULT_TASK
    _check_task(task, file)
    if launched() is not None:
        if task not in _TOGETHER:
            raise InputError(
                f"the recipe {task} trains in one command on one machine: torchrun and SLURM can "
                f"start {', '.join(_TOGETHER)}"
            )
        if data is None and not resume:
            raise InputError("torchrun and SLURM start several processes: give --data to share")
    build: ModelBuild = TASKS[task].train(file, data, out, resume=resume, name=name, report=report)
    return build


def evaluate(
    out: Path, data: Path | None, split: str | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Measures the network of the run in ``out`` and returns its figures by name.

    ``data`` is the data set, by default that of the run; ``split`` is by default ``test``.
    ``report`` is told if the run has not finished all its epochs. Raises InputError if ``out`` has
    no run, or the data is missing.
    """
    task = task_of(out / run_folder.SETTINGS)
    module = TASKS.get(task, TASKS[_DEFAULT_TASK])
    figures: dict[str, float] = module.evaluate(out, data, split, report)
    return figures
