"""Recipes: one YAML each in config/training, with every setting that a run depends on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from face_perception import paths
from face_perception.errors import InputError

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
    """A recipe's dataclass of its YAML file.

    Raises InputError naming the file, and what is unknown, missing, of another type or out of
    range (as ``kind`` itself says).
    """
    found = _yaml(file)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    types = get_type_hints(kind)
    if not isinstance(found, dict):
        raise InputError(f"{file}: settings were expected: {', '.join(fields)}")
    for key, value in found.items():
        if key not in fields:
            raise InputError(f"{file}: {key} is no setting; there are {', '.join(fields)}")
        whole = types[key] is float and type(value) is int
        if type(value) is not types[key] and not whole:
            raise InputError(f"{file}: {key} is {value!r}, a {types[key].__name__} was expected")
    for key, field in fields.items():
        if key not in found and field.default is dataclasses.MISSING:
            raise InputError(f"{file}: {key} is missing, a {types[key].__name__} was expected")
    try:
        return kind(**found)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"recipe {file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
