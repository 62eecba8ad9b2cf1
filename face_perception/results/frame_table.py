"""Makes tidy tables of the JSON lines of ``face-perception run``: one row a face a frame.

The columns come from the schema in ``results``. A nested key becomes ``gaze_yaw``, an element of a
list ``roi_left`` or ``gaze_origin_x``, an action unit ``au12_intensity``. A frame without a face
has one row, whose ``face_id`` is empty, so that shares of time can be computed.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from face_perception.errors import InputError
from face_perception.files import named_errors, open_regular
from face_perception.markers import marker_before
from face_perception.media import is_session
from face_perception.outside_files import StandInError, one_error, refuse_stand_in
from face_perception.results.clip_markers import read_markers
from face_perception.results.columns import Column, Value, cells, marker_columns, with_degrees
from face_perception.results.schema import BLENDSHAPES_FIELD, FACE_FIELDS, LINE_FIELDS, JsonField
from face_perception.results.session_reading import Warn, session_lines

FIX = "give the file that `face-perception run --output` wrote, or the folder of a session"
_LONGEST = 1 << 22  # bytes of a line; ten faces with landmarks have 200 kB
UNIT_COLUMNS = {
    "action_units": "intensity",
    "action_unit_probability": "probability",
    "action_unit_confidence": "confidence",
}


def read_rows(path: str | os.PathLike[str], warn: Warn | None = None) -> Iterator[dict[str, Any]]:
    """Yields the line of each face of each frame: the line's keys, and ``face``.

    ``path`` is a file of results, or the folder of a session. ``face`` is None in the row of a
    frame without a face. Empty lines are left out. ``warn`` is told what of a session is left out
    because it is invalid. Raises InputError, which names the file and the line, if it is not a line
    of results, or if the numbers of the frames do not increase, OSError if the file cannot be read,
    and what ``session_lines`` raises.
    """
    lines = session_lines(path, warn) if is_session(Path(path)) else _lines(path)
    for found in lines:
        row = {"frame": found["frame"], **{f.name: found[f.name] for f in LINE_FIELDS}}
        for face in found["faces"] or [None]:
            yield {**row, "face": face}


def _lines(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yields the lines of a file of results. Raises what ``read_rows`` raises."""
    with open_regular(path) as file, named_errors(path):
        with one_error(os.fspath(path), FIX):
            _check_start(file.read(100))
        file.seek(0)
        number, last = 0, -1
        while line := file.readline(_LONGEST + 1):
            number += 1
            with one_error(f"{os.fspath(path)}, line {number}", FIX):
                if len(line) > _LONGEST:
                    raise InputError(f"it has more than {_LONGEST} bytes")
                if not line.strip():
                    continue
                found = json.loads(line, parse_constant=_refuse_constant)
                if not isinstance(found, dict) or not isinstance(found["faces"], list):
                    raise InputError("it is not a line of results")
                for name in ("frame", *(f.name for f in LINE_FIELDS)):
                    found[name]  # raises KeyError, which names it
                last = _frame_after(last, found)
                faces = [dict(face) for face in found["faces"]]
                for face in faces:
                    missing = {f.name for f in FACE_FIELDS} - face.keys()
                    if missing:
                        raise InputError(f"a face has no {min(missing)!r}")
            yield {**found, "faces": faces}
        if last < 0:
            raise InputError(
                f"{os.fspath(path)} has no line of results, because the analysis was not finished: "
                "run it again"
            )


def _check_start(start: bytes) -> None:
    """Raises InputError if a file that starts so is something else than lines of text."""
    refuse_stand_in(start)
    if b"\0" in start:
        raise StandInError(
            "it is a picture, a film or other data, not results: analyse it first with "
            "`face-perception annotate FILE --output FOLDER`"
        )


def _refuse_constant(name: str) -> None:
    raise InputError(f"it has the number {name}, which is not JSON")


def _frame_after(last: int, line: Mapping[str, Any]) -> int:
    """Returns the number of the frame of a line, which must be larger than ``last``."""
    frame, stamp = line["frame"], line["stamp"]
    if type(frame) is not int or type(stamp) not in (int, float) or not math.isfinite(stamp):
        raise InputError("its frame or its stamp is not a number")
    if frame <= last:
        raise InputError(
            f"it has frame {frame} after frame {last}, so the file has the results of two runs"
        )
    return frame


def frame_columns(
    paths: Sequence[str | os.PathLike[str]], *, degrees: bool = False, warn: Warn | None = None
) -> list[Column]:
    """Returns the columns of a table of some files, which are read once for that.

    They are the same for all files of one version, but for the action units, which depend on the
    network, and the blendshapes, which ``run`` writes if asked. ``degrees`` adds a column that ends
    with ``_deg`` after each column in radians. ``warn`` is that of ``read_rows``. Raises what
    ``read_rows`` raises.
    """
    codes: set[int] = set()
    blendshapes = False
    clips: dict[str, Any] = {}
    for path in paths:
        clip = clip_name(path)
        if clip in clips:
            raise InputError(
                f"{clips[clip]} and {path} would be the same clip in the table: rename one"
            )
        clips[clip] = path
        for row in read_rows(path, warn):
            face = row["face"]
            if face is None:
                continue
            with one_error(f"{os.fspath(path)}, frame {row['frame']}", FIX):
                codes |= {int(code) for name in UNIT_COLUMNS for code in face[name] or ()}
            blendshapes |= BLENDSHAPES_FIELD.name in face
    fields = (*FACE_FIELDS, BLENDSHAPES_FIELD) if blendshapes else FACE_FIELDS
    out = [
        Column("clip", str, "", "name of the file without its ending", lambda row: row["clip"]),
        Column("frame", int, "", "number of the frame, from 0", lambda row: row["frame"]),
    ]
    for field in LINE_FIELDS:
        out += _columns(field, field.name, lambda row: row, sorted(codes))
    for field in fields:
        out += _columns(field, field.name, lambda row: row["face"], sorted(codes))
    out += marker_columns("stamp", lambda row: (row["marker"], row["stamp"]))
    return list(with_degrees(out)) if degrees else out


def frame_rows(path: str | os.PathLike[str], wanted: Sequence[Column]) -> Iterator[list[Value]]:
    """Yields the rows of one file; None means unknown.

    Raises what ``read_rows`` and ``read_markers`` raise.
    """
    clip, markers = clip_name(path), read_markers(path)
    for row in read_rows(path):
        row["clip"] = clip
        row["marker"] = marker_before(markers, row["stamp"])
        with one_error(f"{os.fspath(path)}, frame {row['frame']}", FIX):
            values = cells(wanted, row)
        yield values


def clip_name(path: str | os.PathLike[str]) -> str:
    """Returns the name of a session, or of a file without its ending, as text.

    Names of files may have any bytes.
    """
    return os.fsencode(Path(os.path.abspath(path)).stem).decode(errors="backslashreplace")


def _columns(
    field: JsonField, name: str, owner: Callable[[Any], Any], codes: Sequence[int]
) -> Iterator[Column]:
    def value(row: Any) -> Any:
        found = owner(row)
        return None if found is None else found.get(field.name)

    if field.parts:
        for part in field.parts:
            yield from _columns(part, f"{name}_{part.name}", value, codes)
        return
    if field.name in UNIT_COLUMNS:
        keys = [(str(code), f"au{code:02d}_{UNIT_COLUMNS[field.name]}") for code in codes]
    elif field.keys:
        keys = [(key, f"{name}_{key}") for key in field.keys]
    else:
        yield Column(name, field.type, field.unit, field.meaning, value)
        return
    for place, (key, element) in enumerate(keys):
        yield Column(
            element,
            field.type,
            field.unit,
            f"{field.meaning}: {key}",
            functools.partial(_element, value, key, place),
        )


def _element(owner: Callable[[Any], Any], key: str, place: int, row: Any) -> Any:
    """Returns an element of a list or of an object; None if it is missing."""
    values = owner(row)
    if isinstance(values, list):
        return values[place]
    return values.get(key) if values else None
