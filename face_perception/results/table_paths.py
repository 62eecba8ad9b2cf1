"""Names the files of tables in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from face_perception.errors import InputError

SUFFIXES = (".csv", ".parquet")


def table_in(folder: Path, name: str) -> Path:
    """Returns the file of a table in a folder; of two formats, the newer file.

    Raises InputError if the folder has no such table.
    """
    if (found := find_table(folder, name)) is None:
        raise InputError(
            f"{folder} has no table {name!r}: make it with `face-perception table RESULTS.jsonl "
            f"--output {folder}`"
        )
    return found


def find_table(folder: Path, name: str) -> Path | None:
    """Returns the file of a table in a folder; of two formats, the newer file; None if missing."""
    files = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    return max((file for file in files if file.exists()), key=os.path.getmtime, default=None)
