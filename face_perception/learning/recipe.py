"""Reads recipes: YAML files, such as those in config/training, with all settings of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from face_perception import paths
from face_perception.errors import InputError
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
    """Reads the in ``kind`` from the YAML file of a recipe.

    Raises InputError that names the file and the setting that is unknown, missing, of another type
    or not of range.
    """
    found = _yaml(file)
    if not isinstance(found, dict):
        names = ", ".join(declared.name for declared in settings_of(kind))
        raise InputError(f"{file} has no settings: expected the settings {names}")
    for key, value in found.items():
        if key not in fields:
            raise InputError(f"{file}: {key} is not a setting; there are {', '.join(fields)}")
        whole = types[key] is float and type(value) is int
        if type(value) is not types[key] and not whole:
            raise InputError(f"{file}: {key} is {value!r}, expected {types[key].__name__}")
    for key, field in fields.items():
        if key not in found and field.default is dataclasses.MISSING:
            raise InputError(f"{file}: {key} is missing, expected {types[key].__name__}")
    try:
        return from_mapping(kind, found)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"recipe {file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
