"""Finds the files of the package, and the folders of the user's data, caches and models."""

from __future__ import annotations

import os
from pathlib import Path

from face_perception.errors import InputError

# Do not resolve links: a symlink install must find the files of its install folder.
_PACKAGE = Path(os.path.abspath(__file__)).parent


def package_dir() -> Path:
    """Returns the folder of the package's modules."""
    return _PACKAGE


def resource(relative: str) -> Path:
    """Returns the path of a file or folder of the package, such as ``config/face_tracker.yaml``.

    Searches the folder of the package and its parent (source tree, pip install), then
    ``share/face_perception`` in each folder above (colcon install). Raises FileNotFoundError, which
    names these places.
    """
    roots = [_PACKAGE, _PACKAGE.parent]
    roots += [parent / "share" / "face_perception" for parent in _PACKAGE.parents]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    raise FileNotFoundError(
        f"{relative} was not found in {_PACKAGE}, next to it, or in a share/face_perception above "
        "it: reinstall face_perception"
    )


def cache_dir() -> Path:
    """Returns ``$XDG_CACHE_HOME/face_perception`` (default ``~/.cache/face_perception``).

    Does not create the folder.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else _home() / ".cache") / "face_perception"


def data_dir() -> Path:
    """Returns ``$XDG_DATA_HOME/face_perception`` (default ``~/.local/share/face_perception``).

    It is for data that cannot be regenerated, such as calibrations. Does not create the folder.
    """
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else _home() / ".local" / "share") / "face_perception"


def models_dir() -> Path:
    """Returns the model cache: ``$FACE_PERCEPTION_MODELS``, or ``models`` in the cache folder."""
    override = os.environ.get("FACE_PERCEPTION_MODELS", "")
    return expanded(override) if override else cache_dir() / "models"


def expanded(path: str | os.PathLike[str]) -> Path:
    """Returns a path whose ``~`` is replaced by the home folder, if that is known.

    Unlike ``Path.expanduser``, it raises nothing if it is not, so that the path is reported as
    missing.

    >>> expanded("~nobody_of_this_name/a.yaml")
    PosixPath('~nobody_of_this_name/a.yaml')
    """
    return Path(os.path.expanduser(path))


def _home() -> Path:
    """Returns the home folder. Raises InputError if the user has none, as in some containers."""
    home = expanded("~")
    if not home.is_absolute():
        raise InputError(
            "the home folder is not known: set the environment variable HOME, or XDG_CACHE_HOME "
            "and XDG_DATA_HOME, to folders that can be written"
        )
    return home
