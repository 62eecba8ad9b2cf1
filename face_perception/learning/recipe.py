"""Recipes: one YAML each in config/training, with every setting that a run depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from face_perception import paths
from face_perception.errors import InputError
from face_perception.settings import from_mapping, settings_of

_Recipe = TypeVar("_Recipe")


def recipe_file(name: str) -> Path:
    """Of a recipe of the package, or the file itself. Raises InputError for neither."""
    if name.endswith(".yaml"):
        return Path(name)
    recipes = {file.stem: file for file in sorted(paths.resource("config/training").glob("*.yaml"))}
    if name not in recipes:
        raise InputError(
            f"there is no recipe {name!r}: use one of {', '.join(recipes)}, or a YAML file of yours"
        )
    return recipes[name]


def task_of(file: Path) -> str:
    """What a recipe is for; empty where there is no such file, or it does not say."""
    found = _yaml(file) if file.exists() else None
    return str(found.get("task", "")) if isinstance(found, dict) else ""


def read_settings(kind: type[_Recipe], file: Path) -> _Recipe:
    """Returns the recipe in a YAML file.

    Raises InputError naming the file and the setting that is unknown, missing, or not allowed.
    """
    found = _yaml(file)
    if not isinstance(found, dict):
        names = ", ".join(declared.name for declared in settings_of(kind))
        raise InputError(f"{file} has no settings: give some of {names}")
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
