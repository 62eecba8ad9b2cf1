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
    files = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    found = [file for file in files if file.exists()]
    if not found:
        raise InputError(
            f"{folder} has no table {name!r}: make it with `face-perception table RESULTS.jsonl "
            f"--output {folder}`"
        )
    return max(found, key=os.path.getmtime)
