"""Reads results and tables into pandas or Polars (optional packages)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from face_perception.errors import InputError
from face_perception.files import open_regular
from face_perception.media import is_session
from face_perception.optional_modules import extra
from face_perception.results.columns import Column, Value
from face_perception.results.study_tables import FRAMES, TABLES, column_types, study_tables
from face_perception.results.table_paths import SUFFIXES, table_in

LIBRARIES = ("pandas", "polars")
_PANDAS_KINDS = {float: "float64", int: "Int64", str: "object", bool: "boolean"}


def read(path: str | os.PathLike[str], table: str = "", library: str = "pandas") -> Any:
    """Returns a table as a data frame of pandas or Polars.

    ``path`` is one of

    - the results of ``face-perception run`` (a .jsonl file),
    - the folder of a session,
    - the folder that ``face-perception table --output FOLDER`` wrote,
    - a .csv or .parquet file of that command.

    ``table`` is ``frames`` (default), ``events``, ``persons``, ``targets`` or ``markers``, for
    results and folders. Unknown values are missing. Raises MissingDependencyError if the library,
    or pyarrow for a .parquet file, is missing; InputError if there is no such table; OSError.

    >>> read("clip.jsonl", library="excel")
    Traceback (most recent call last):
    face_perception.errors.InputError: library 'excel' is unknown: use pandas or polars
    """
    if library not in LIBRARIES:
        raise InputError(f"library {library!r} is unknown: use {' or '.join(LIBRARIES)}")
    if table not in ("", *TABLES):
        raise InputError(f"table {table!r} is unknown: use {', '.join(TABLES)}")
    source, wanted = Path(path), table or FRAMES
    if source.is_dir() and not is_session(source):
        return _read_file(table_in(source, wanted), library)
    if source.suffix.lower() in SUFFIXES:
        if table:
            raise InputError(f"{source} is one table: leave out table={table!r}")
        return _read_file(source, library)
    problems: list[str] = []
    made = study_tables([source], warn=problems.append)
    one = next(table for table in made if table.name == wanted)
    rows = list(one.rows)
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return _frame(one.columns, rows, library)


def _frame(columns: Sequence[Column], rows: Sequence[Sequence[Value]], library: str) -> Any:
    values = {column.name: [row[i] for row in rows] for i, column in enumerate(columns)}
    with extra("a data frame", f"pip install {library}"):
        if library == "polars":
            import polars

            kinds = _polars_kinds(polars)
            return polars.DataFrame(values, schema={c.name: kinds[c.type] for c in columns})
        import pandas

        return pandas.DataFrame(
            {c.name: pandas.Series(values[c.name], dtype=_PANDAS_KINDS[c.type]) for c in columns}
        )


def _polars_kinds(polars: Any) -> dict[type[Any], Any]:
    return {
        float: polars.Float64, int: polars.Int64, str: polars.String, bool: polars.Boolean
    }  # fmt: skip


def _read_file(path: Path, library: str) -> Any:
    is_csv = path.suffix.lower() == ".csv"
    fix = f"pip install {library}" if is_csv else f"pip install {library} pyarrow"
    with extra("a data frame", fix), open_regular(path) as file:
        if library == "polars":
            import polars

            return _polars_csv(polars, file) if is_csv else polars.read_parquet(file)
        import pandas

        if not is_csv:
            return pandas.read_parquet(file, engine="pyarrow")
        # A person may be called "NA", and a clip "007".
        kinds = {name: _PANDAS_KINDS[kind] for name, kind in column_types().items()}
        return pandas.read_csv(
            file, dtype=kinds, keep_default_na=False, na_values=[""], low_memory=False
        )


def _polars_csv(polars: Any, file: BinaryIO) -> Any:
    types, kinds = column_types(), _polars_kinds(polars)
    known = [name for name in polars.read_csv(file, n_rows=0).columns if name in types]
    file.seek(0)
    # Polars takes only "true" and "false" for booleans.
    truth = [name for name in known if types[name] is bool]
    kinds[bool] = polars.String
    frame = polars.read_csv(
        file,
        schema_overrides={name: kinds[types[name]] for name in known},
        infer_schema_length=None,
    )
    # All others are numbers, such as action units. Polars takes an empty column for text.
    empty = [name for name in frame.columns if name not in types and frame[name].is_null().all()]
    return frame.with_columns(
        *(polars.col(name) == "TRUE" for name in truth),
        *(polars.col(name).cast(polars.Float64) for name in empty),
    )
