"""Reads recipes: YAML files, such as those in config/training, with all settings of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from face_perception import paths
from face_perception.errors import InputError
from face_perception.outside_files import one_error, read_yaml
from face_perception.settings import from_mapping, settings_of

_Recipe = TypeVar("_Recipe")


def recipe_file(name: str) -> Path:
    """Returns the file of a recipe of the package, or ``name`` itself if it is a YAML file.

    Raises InputError for any other name.
    """
    if name.endswith(".yaml"):
        return Path(name)
    recipes = {file.stem: file for file in sorted(paths.resource("config/training").glob("*.yaml"))}
    if name not in recipes:
        raise InputError(
            f"there is no recipe {name!r}: use one of {', '.join(recipes)}, or your own YAML file"
        )
    return recipes[name]


def task_of(file: Path) -> str:
    """Returns the task of a recipe; empty if the file does not exist or names none."""
    found = _yaml(file) if file.exists() else None
    return str(found.get("task", "")) if isinstance(found, dict) else ""


def read_settings(kind: type[_Recipe], file: Path) -> _Recipe:
    """Reads a recipe of ``kind`` from its YAML file.

    Raises InputError that names the file and the setting that is unknown, missing, of another type
    or out of range.
    """
    return checked_settings(kind, file, _yaml(file))


def checked_settings(kind: type[_Recipe], file: Path, found: object) -> _Recipe:
    """Returns the recipe of ``kind`` with the settings ``found`` in ``file``.

    Raises what ``read_settings`` raises.
    """
    if not isinstance(found, dict):
        names = ", ".join(declared.name for declared in settings_of(kind))
        raise InputError(f"{file} has no settings: give some of {names}")
    try:
        return from_mapping(kind, found)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


def _yaml(file: Path) -> Any:
    with one_error(f"recipe {file}", "give a YAML file, as in config/training"):
        return read_yaml(file)
