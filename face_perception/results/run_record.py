"""Stores beside the results of a clip that they are complete, and what they were made from.

``clip.run.json`` belongs to ``clip.jsonl``. It is written after the last line, and removed before
the first line of a new analysis, so that results without it are incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception.errors import InputError
from face_perception.files import write_atomically
from face_perception.outside_files import one_error, read_bytes

_MOST = 1 << 20  # bytes


@dataclass(frozen=True)
class RunRecord:
    """What the results of a clip were made from.

    - ``input``: absolute path of the picture, film or bag; ``input_bytes`` and ``input_modified``
      are its size and its time of modification in nanoseconds (of a bag: of all its files, and of
      the newest one).
    - ``annotated``: absolute path of the annotated picture or film; empty: not asked for.
    - ``frames``: number of lines. ``results_bytes``: size of the results.
    - ``settings``: everything else that the results depend on, as JSON types.
    """

    input: str
    input_bytes: int
    input_modified: int
    annotated: str
    frames: int
    results_bytes: int
    settings: Mapping[str, Any]

    def write(self, results: Path) -> None:
        """Writes the record of some results. Raises OSError."""
        text = json.dumps(vars(self), indent=1, sort_keys=True)
        write_atomically(record_path(results), f"{text}\n".encode())


_TYPES = {
    **dict.fromkeys(("input", "annotated"), str),
    **dict.fromkeys(("input_bytes", "input_modified", "frames", "results_bytes"), int),
    "settings": dict,
}


def record_path(results: Path) -> Path:
    """Returns the path of the record of some results."""
    return results.with_suffix(".run.json")


def read_record(results: Path) -> RunRecord | None:
    """Returns the record of some results; None if they have no record, so are incomplete.

    Raises InputError if the record cannot be read.
    """
    path = record_path(results)
    if not path.exists():
        return None
    with one_error(f"{path}", "remove it"):
        found = RunRecord(**json.loads(read_bytes(path, _MOST)))
        for name, kind in _TYPES.items():
            if type(getattr(found, name)) is not kind:
                raise InputError(f"{name} has another type")
        return found
