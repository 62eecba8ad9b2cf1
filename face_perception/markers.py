"""Markers of an experiment: in a session, or beside the results of a clip."""

from __future__ import annotations

import bisect
import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception.errors import InputError, shortened
from face_perception.outside_files import one_error, read_bytes

MARKERS_FILE = "markers.csv"  # in the folder of a session
MARKER_NAMES = ("stamp", "label", "source")  # of the columns
_MOST = 1 << 24  # bytes
# What a spreadsheet would read as a formula at the start of a cell.
_FORMULA = ("=", "+", "-", "@")
# Written before such a label, and before one that begins so itself: readers remove one.
_ESCAPE = "'"


@dataclass(frozen=True, order=True, slots=True)
class Marker:
    """What is marked: a moment (seconds), a label, and where the marker came from."""

    stamp: float
    label: str
    source: str = ""


def marker_cells(marker: Marker) -> tuple[str, str, str]:
    """Returns the cells of a marker in a CSV file, in the order of ``MARKER_NAMES``."""
    label = marker.label
    if label.startswith((*_FORMULA, _ESCAPE)):
        label = f"{_ESCAPE}{label}"
    return f"{marker.stamp:.6f}", label, marker.source


def read_marker_file(path: Path) -> tuple[Marker, ...]:
    """Returns the markers of a CSV file in the order of time; none if there is no such file.

    The column ``source`` may be missing. Raises InputError if it cannot be read, and OSError.
    """
    if not path.exists():
        return ()
    with one_error(f"{path}", "correct or remove it"):
        text = read_bytes(path, _MOST).decode("utf-8-sig")  # spreadsheets write a byte order mark
        rows = csv.DictReader(io.StringIO(text, newline=""))
        if missing := {"stamp", "label"} - {*(rows.fieldnames or ())}:
            raise InputError(f"it has no column {min(missing)!r}")
        return tuple(sorted(_marker(row, rows.line_num) for row in rows))


def marker_before(markers: Sequence[Marker], stamp: float) -> Marker | None:
    """Returns the last of some markers (in the order of time) that is not after ``stamp``."""
    place = bisect.bisect_right(markers, stamp, key=lambda marker: marker.stamp)
    return markers[place - 1] if place else None


def _marker(row: Mapping[str | None, Any], line: int) -> Marker:
    """Returns the marker of a row. A row that is too long has the key None, a short one no label.

    Raises InputError.
    """
    if None in row:
        raise InputError(f"line {line} has too many values (put quotes round a label with a comma)")
    if row["label"] is None:
        raise InputError(f"line {line} has no label")
    try:
        stamp = float(row["stamp"])
    except ValueError:
        stamp = math.nan
    if not math.isfinite(stamp):
        raise InputError(f"line {line}: the stamp {shortened(row['stamp'])} is not a number")
    return Marker(stamp, _unescaped(row["label"]), row.get("source") or "")


def _unescaped(label: str) -> str:
    rest = label.removeprefix(_ESCAPE)
    return rest if rest.startswith((*_FORMULA, _ESCAPE)) else label
