"""The folder of a run: its settings and where its data is; it is gone on with as it began."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any, TypeVar

import yaml

from face_perception.errors import InputError
from face_perception.files import check_writable, write_atomically
from face_perception.learning.data.dataset import Dataset
from face_perception.learning.recipe import read_settings

_Recipe = TypeVar("_Recipe")

SETTINGS, DATA = "recipe.yaml", "data.txt"
DRAWN = "data"  # folder of the people that were drawn for a run


def recipe_of_run(kind: type[_Recipe], file: Path, out: Path, *first: str, resume: bool) -> _Recipe:
    """The recipe to train by: of ``file``, or with ``resume`` that of the run in ``out``.

    ``first`` are files of which a run has one from its first epoch on. Raises InputError where
    there is no run to resume, one would be overwritten, or ``out`` cannot be written, before
    anything is worked on; as ``read_settings`` for the rest.
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
    """The data set that the run in ``out`` was trained on. Raises InputError where none is told."""
    if not (out / DATA).exists():
        raise InputError(f"{out / DATA} is missing: give --data")
    return Path((out / DATA).read_text(encoding="utf-8"))


def data_of_new_run(out: Path, data: Path | None, resume: bool, *drawn: str) -> Path | None:
    """The data set of a run that begins or, with ``resume``, goes on: None to draw one.

    Without ``resume`` what an earlier try drew (``drawn``, folders in ``out``) is removed: it had
    no epoch, and may be of other settings. Raises InputError for another data set than the run's.
    """
    if not resume:
        for name in drawn if (out / SETTINGS).exists() else ():
            if data is None or data.resolve() != (out / name).resolve():
                shutil.rmtree(out / name, ignore_errors=True)
        return data
    own = data_of(out)
    if data is not None and data.resolve() != own.resolve():
        raise InputError(f"the run in {out} is of {own}, not of {data}: resume it without --data")
    return own


def licence_of(out: Path, data: Dataset) -> str:
    """Of a network that the run in ``out`` trained on a data set, for its card: the package's where
    the run drew it for itself.
    """
    if data.folder.resolve() == (out / DRAWN).resolve():
        return "Apache-2.0"
    return f"that of the data set {data.name}: {data.licence}"


def save_settings(out: Path, recipe: Any, data: Path | None = None) -> None:
    """Writes down what the run in ``out`` is of; ``recipe`` a dataclass."""
    text = yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)
    write_atomically(out / SETTINGS, text.encode())
    if data is not None:
        write_atomically(out / DATA, str(data.resolve()).encode())
