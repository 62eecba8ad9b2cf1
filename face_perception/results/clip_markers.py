"""Finds the markers of a clip: those of its session, or those beside its results."""

from __future__ import annotations

import os
from pathlib import Path

from face_perception.markers import MARKERS_FILE, Marker, read_marker_file
from face_perception.media import is_session


def read_markers(path: str | os.PathLike[str]) -> tuple[Marker, ...]:
    """Returns the markers of a session, or those beside the results of a clip, by time.

    Those of ``clip.jsonl`` are in ``clip.markers.csv``. Raises InputError if they cannot be read,
    and OSError.
    """
    at = Path(path)
    return read_marker_file(at / MARKERS_FILE if is_session(at) else markers_path(at))


def markers_path(results: Path) -> Path:
    """Returns the path of the markers that belong to the results of a clip."""
    return results.with_suffix(f".{MARKERS_FILE}")
