"""Where the package's own files and the user's data and caches are. Knows no model and no node."""

from __future__ import annotations

import os
from pathlib import Path

# Not resolved: a symlink install is where it was installed.
_PACKAGE = Path(os.path.abspath(__file__)).parent


def package() -> Path:
    """The folder of the package's modules."""
    return _PACKAGE


def resource(relative: str) -> Path:
    """A file or folder of the package, e.g. ``config/face_tracker.yaml``.

    Looks beside the package (source tree, pip install) and in ``share/face_perception`` of each
    prefix above it (colcon install). Raises FileNotFoundError naming the places that were searched.
    """
    roots = [_PACKAGE, _PACKAGE.parent]
    roots += [parent / "share" / "face_perception" for parent in _PACKAGE.parents]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    raise FileNotFoundError(
        f"{relative} is not installed beside {_PACKAGE} nor in a share/face_perception above it: "
        "reinstall face_perception"
    )


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/face_perception`` (default ``~/.cache/face_perception``); not created."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "face_perception"


def data_dir() -> Path:
    """``$XDG_DATA_HOME/face_perception`` (default ``~/.local/share/face_perception``): what cannot
    be made again, such as calibrations of people; not created.
    """
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "face_perception"


def models_dir() -> Path:
    """Where models live: ``$FACE_PERCEPTION_MODELS`` or ``models`` in the cache."""
    override = os.environ.get("FACE_PERCEPTION_MODELS", "")
    return Path(override).expanduser() if override else cache_dir() / "models"
