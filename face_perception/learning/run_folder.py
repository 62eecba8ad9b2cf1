"""Reads and writes a run folder: settings, path of the data set, and what each run begins with."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from face_perception.errors import InputError
from face_perception.files import check_writable, write_atomically
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import Dataset, DataSource
from face_perception.learning.recipe import read_settings
from face_perception.learning.several_machines import launched
from face_perception.learning.training_loop import LAST, has_checkpoint
from face_perception.outside_files import MOST_TEXT, one_error, read_bytes

_Recipe = TypeVar("_Recipe")

SETTINGS, DATA = "recipe.yaml", "data.txt"
SYNTHETIC_DATA = "data"  # folder of the synthetic people that were painted for a run


def recipe_of_run(kind: type[_Recipe], file: Path, out: Path, *first: str, resume: bool) -> _Recipe:
    """Returns the recipe of ``file``, or with ``resume`` that of the run in ``out``.

    ``first`` are files of which every run has one after its first epoch. Raises InputError if there
    is no run to resume, a run would be overwritten, or ``out`` cannot be written, and what
    ``read_settings`` raises.
    """
    if resume and not (out / SETTINGS).exists():
        raise InputError(f"{out / SETTINGS} is missing: no run to resume, train without --resume")
    if not resume and any((out / name).exists() for name in first):
        raise InputError(f"{out} has an earlier run: --resume, or choose another --out")
    recipe = read_settings(kind, out / SETTINGS if resume else file)
    try:
        check_writable(out / SETTINGS)
    except OSError as error:
        raise InputError(
            f"{out} cannot be a run's folder ({error.strerror}): choose another --out"
        ) from error
    return recipe


def data_of(out: Path) -> Path:
    """Returns the path of the data set of the run in ``out``. Raises InputError if unknown."""
    if not (out / DATA).exists():
        raise InputError(f"{out / DATA} is missing: give --data")
    with one_error(f"{out / DATA}", "give --data"):
        return Path(read_bytes(out / DATA, MOST_TEXT).decode())


def data_of_new_run(out: Path, data: Path | None, resume: bool, *painted: str) -> Path | None:
    """Returns the data set of a new or, with ``resume``, of a continued run; None to paint one.

    Without ``resume``, removes what an earlier attempt painted (``painted``, folders in ``out``),
    because other settings may have painted it. Raises InputError if ``data`` is not the run's.
    """
    if not resume:
        for name in painted if (out / SETTINGS).exists() else ():
            if data is None or data.resolve() != (out / name).resolve():
                shutil.rmtree(out / name, ignore_errors=True)
        return data
    own = data_of(out)
    if data is not None and data.resolve() != own.resolve():
        raise InputError(f"the run in {out} uses {own} and not {data}: resume it without --data")
    return own


def data_or_painted(
    out: Path,
    data: Path | None,
    resume: bool,
    what: str,
    paint: Callable[[Path], object],
    report: Callable[[str], None],
    *painted: str,
) -> Path:
    """Returns the data set of a run; paints one for a new run without ``data``.

    ``paint`` writes the data set to a new folder, and ``what`` names it in the report. ``painted``
    are further folders in ``out`` that such a run paints. Raises what ``data_of_new_run`` raises.
    """
    found = data_of_new_run(out, data, resume, SYNTHETIC_DATA, *painted)
    if found is None:
        found = out / SYNTHETIC_DATA
        report(f"painting {what} into {found}")
        out.mkdir(parents=True, exist_ok=True)
        paint(found)
    return found


def begin_training(
    out: Path,
    recipe: Any,
    data: DataSource,
    images: int,
    *,
    resume: bool,
    report: Callable[[str], None],
) -> bool:
    """Saves the settings of a run, reports its start, and returns whether it has a checkpoint.

    ``images`` is the number of images to train on. A run that was stopped in its first epoch has no
    checkpoint yet: it starts from the beginning, as every run without ``resume`` does. Of processes
    that torchrun or SLURM started, the first one saves and reports.
    """
    together = launched()
    if together is not None and together.rank:
        return resume and has_checkpoint(out)
    save_settings(out, recipe, data.folder)
    report(f"training on {images} images of {data.name}; progress: tensorboard --logdir {out}")
    return resume and has_checkpoint(out)


def read_run(
    kind: type[_Recipe], out: Path, data: Path | None, split: str | None, needs: Sequence[str]
) -> tuple[_Recipe, Dataset]:
    """Returns the recipe of the run in ``out``, and the samples of ``split`` to measure it on.

    ``data`` is a data set with the columns ``needs``, by default that of the run; ``split`` is by
    default ``test``. Raises what ``trained_recipe``, ``data_of`` and ``dataset.read`` raise.
    """
    recipe = trained_recipe(kind, out)
    return recipe, dataset.read(data or data_of(out), needs).part(split or "test")


def trained_recipe(kind: type[_Recipe], out: Path) -> _Recipe:
    """Returns the recipe of the run in ``out``.

    Raises InputError if ``out`` has no trained network, and what ``read_settings`` raises.
    """
    if not (out / LAST).exists() or not (out / SETTINGS).exists():
        raise InputError(f"{out} has no {SETTINGS} and {LAST}: give what `train` wrote")
    return read_settings(kind, out / SETTINGS)


def provenance(out: Path, data: DataSource) -> dict[str, str]:
    """Returns ``trained_on`` and ``licence`` of a network that the run in ``out`` trained.

    The licence is that of the package if ``data`` was painted for the run.
    """
    return {
        "trained_on": data.described,
        "licence": _licence(out, data),
    }


def _licence(out: Path, data: DataSource) -> str:
    if data.folder.resolve() == (out / SYNTHETIC_DATA).resolve():
        return "Apache-2.0"
    return f"that of the data set {data.name}: {data.licence}"


def save_settings(out: Path, recipe: Any, data: Path | None = None) -> None:
    """Writes the recipe (a dataclass) and the path of the data set into the run folder ``out``."""
    text = yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)
    write_atomically(out / SETTINGS, text.encode())
    if data is not None:
        write_atomically(out / DATA, str(data.resolve()).encode())
