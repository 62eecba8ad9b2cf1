"""Reads the rows of a table of frames back into the form that JSON lines have."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from face_perception.errors import InputError
from face_perception.files import open_regular
from face_perception.markers import Marker
from face_perception.media import is_session
from face_perception.outside_files import one_error, refuse_stand_in
from face_perception.results.frame_table import UNIT_COLUMNS
from face_perception.results.parquet_support import require_pyarrow
from face_perception.results.schema import FACE_FIELDS, LINE_FIELDS, JsonField
from face_perception.results.table_paths import SUFFIXES, find_table, table_in

_NAME, _MARKERS = "frames", "markers"  # of tables
_FIX = "give a table of frames that `face-perception table` wrote, or the .jsonl file of `run`"
_UNIT = re.compile(r"au(\d+)_(\w+)")


def frame_table_in(path: str | os.PathLike[str]) -> Path | None:
    """Returns the table of frames that a path names, or that is in that folder.

    None if it is neither, as the results of ``run`` or a session.

    Raises what ``table_in`` raises.
    """
    at = Path(path)
    if at.is_dir() and not is_session(at):
        return table_in(at, _NAME)
    return at if at.suffix.lower() in SUFFIXES else None


def read_table_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a table of frames as ``read_rows`` yields them, with ``clip``.

    ``expression`` is a list of probabilities, not an object, and what a table does not have is
    missing: blendshapes and landmarks.

    Raises InputError if it is not such a table, OSError, and MissingDependencyError for Parquet
    without pyarrow.
    """
    for number, row in enumerate(_rows(path, "clip", "frame", "face_id"), 1):
        with one_error(f"{path}, row {number}", _FIX):
            found = {field.name: _nested(field, field.name, row) for field in LINE_FIELDS}
            found |= {"clip": row["clip"], "frame": int(row["frame"]), "face": None}
            if row["face_id"]:
                face = {field.name: _nested(field, field.name, row) for field in FACE_FIELDS}
                found["face"] = face | _units(row)
        yield found


def markers_beside(frames: Path) -> dict[str, tuple[Marker, ...]]:
    """Returns the markers of each clip in the table of markers beside a table of frames, by time.

    Tables of older versions have none. Raises InputError if it is not such a table, and OSError.
    """
    found: dict[str, list[Marker]] = {}
    path = find_table(frames.parent, _MARKERS) if frames.stem == _NAME else None
    for number, row in enumerate(
        _rows(path, "clip", "stamp", "label", "source") if path else (), 1
    ):
        with one_error(f"{path}, row {number}", "make the tables again"):
            marker = Marker(float(row["stamp"]), row["label"], row["source"] or "")
            found.setdefault(row["clip"], []).append(marker)
    return {clip: tuple(sorted(markers)) for clip, markers in found.items()}


def _rows(path: Path, *needed: str) -> Iterator[Mapping[str, Any]]:
    """Yields the rows of a table, by the names of its columns, which must have the ``needed``."""
    with open_regular(path) as file, one_error(f"{path}", _FIX):
        start = file.read(100)
        refuse_stand_in(start)
        if not start:
            raise InputError("it is empty")
    csv_table = path.suffix.lower() == ".csv"
    return _csv_rows(path, needed) if csv_table else _parquet_rows(path, needed)


def _check_names(names: Iterable[str], needed: Sequence[str]) -> None:
    if missing := set(needed) - {*names}:
        raise InputError(f"it has no column {min(missing)!r}")


def _nested(field: JsonField, name: str, row: Mapping[str, Any]) -> Any:
    """Returns the JSON value of a field from the columns whose names begin with ``name``."""
    if field.parts:
        parts = {part.name: _nested(part, f"{name}_{part.name}", row) for part in field.parts}
        return parts if any(value is not None for value in parts.values()) else None
    if field.keys:
        elements = [_typed(field.type, row[f"{name}_{key}"]) for key in field.keys]
        return None if all(element is None for element in elements) else elements
    # A column that this version added is unknown in an older table.
    return _typed(field.type, row.get(name))


def _units(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names = {ending: name for name, ending in UNIT_COLUMNS.items()}
    found: dict[str, dict[str, Any]] = {name: {} for name in UNIT_COLUMNS}
    for column, value in row.items():
        if (match := _UNIT.fullmatch(column)) and match[2] in names:
            found[names[match[2]]][str(int(match[1]))] = _typed(float, value)
    return found


def _typed(kind: Callable[[Any], Any], value: Any) -> Any:
    if value is None or value == "":
        return None
    return _truth(value) if kind is bool else kind(value)


def _truth(value: Any) -> bool:
    """Returns a boolean that R (TRUE), pandas (True) or a spreadsheet has written."""
    text = str(value).upper()
    if text not in ("TRUE", "FALSE"):
        raise ValueError(f"{value!r} is neither TRUE nor FALSE")
    return text == "TRUE"


def _csv_rows(path: Path, needed: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    with (
        open_regular(path) as file,
        one_error(f"{path}", _FIX),
        io.TextIOWrapper(file, encoding="utf-8", newline="") as text,
    ):
        rows = csv.reader(text)
        names = next(rows, [])
        _check_names(names, needed)
        for values in rows:
            if values and len(values) != len(names):
                raise InputError(f"line {rows.line_num} has {len(values)} of {len(names)} values")
            if values:
                yield dict(zip(names, values, strict=True))


def _parquet_rows(path: Path, needed: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    require_pyarrow()
    import pyarrow.parquet as pq

    with open_regular(path) as file, one_error(f"{path}", _FIX):
        table = pq.ParquetFile(file)
        _check_names(table.schema_arrow.names, needed)
        for batch in table.iter_batches():
            yield from batch.to_pylist()
