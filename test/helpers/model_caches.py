"""Model caches for tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from face_perception import paths
from face_perception.inference import catalogue


def copy_models(folder: Path) -> Path:
    """Makes a model cache in a new folder, with the package's own models and photographs only.

    Without imported models and variants of the user's cache.
    """
    folder.mkdir(parents=True)
    for card in catalogue().values():
        for name in (card.file, f"{card.file}.json"):
            file = paths.models_dir() / name
            if card.folder is None and file.exists():
                shutil.copy(file, folder)
    return folder
