"""Reads results and tables into pandas or Polars (optional packages)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from face_perception.errors import InputError
from face_perception.optional_modules import extra
from face_perception.results.columns import Column, Value
from face_perception.results.study_tables import FRAMES, TABLES, study_tables
from face_perception.results.table_paths import SUFFIXES, table_in

LIBRARIES = ("pandas", "polars")


def read(path: str | os.PathLike[str], table: str = "", library: str = "pandas") -> Any:
    """Returns a table as a data frame of pandas or Polars.

    ``path`` is one of

    - the results of ``face-perception run`` (a .jsonl file),
    - the folder that ``face-perception table --output FOLDER`` wrote,
    - a .csv or .parquet file of that command.

    ``table`` is ``frames`` (default), ``events``, ``persons`` or ``targets``, for results and
    folders. Unknown values are missing. Raises MissingDependencyError if the library, or pyarrow
    for a .parquet file, is missing; InputError if there is no such table; OSError.

    >>> read("clip.jsonl", library="excel")
    Traceback (most recent call last):
    face_perception.errors.InputError: library 'excel' is unknown: use pandas or polars
    """
    if library not in LIBRARIES:
        raise InputError(f"library {library!r} is unknown: use {' or '.join(LIBRARIES)}")
    if table not in ("", *TABLES):
        raise InputError(f"table {table!r} is unknown: use {', '.join(TABLES)}")
    source, wanted = Path(path), table or FRAMES
    if source.is_dir():
        return _read_file(table_in(source, wanted), library)
    if source.suffix.lower() in SUFFIXES:
        if table:
            raise InputError(f"{source} is one table: leave out table={table!r}")
        return _read_file(source, library)
    one = next(made for made in study_tables([source]) if made.name == wanted)
    return _frame(one.columns, list(one.rows), library)


def _frame(columns: Sequence[Column], rows: Sequence[Sequence[Value]], library: str) -> Any:
    values = {column.name: [row[i] for row in rows] for i, column in enumerate(columns)}
    with extra("a data frame", f"pip install 'face_perception[{library}]'"):
        if library == "polars":
            import polars

            kinds: dict[type[Any], Any] = {
                float: polars.Float64, int: polars.Int64, str: polars.String, bool: polars.Boolean
            }  # fmt: skip
            return polars.DataFrame(values, schema={c.name: kinds[c.type] for c in columns})
        import pandas

        types = {float: "float64", int: "Int64", str: "object", bool: "boolean"}
        return pandas.DataFrame(
            {c.name: pandas.Series(values[c.name], dtype=types[c.type]) for c in columns}
        )


def _read_file(path: Path, library: str) -> Any:
    fix = f"pip install 'face_perception[{library}]'"
    if path.suffix.lower() == ".parquet":
        fix = f"pip install 'face_perception[{library},table]'"
    with extra("a data frame", fix), open(path, "rb") as file:
        if library == "polars":
            import polars

            if path.suffix.lower() == ".parquet":
                return polars.read_parquet(file)
            frame = polars.read_csv(file, infer_schema_length=None)
            truth = [
                name
                for name, kind in frame.schema.items()
                if kind == polars.String and set(frame[name].drop_nulls()) <= {"TRUE", "FALSE"}
                and frame[name].drop_nulls().len() > 0
            ]  # fmt: skip
            return frame.with_columns(polars.col(name) == "TRUE" for name in truth)
        import pandas

        if path.suffix.lower() == ".parquet":
            return pandas.read_parquet(file, engine="pyarrow")
        # A person may be called "NA".
        return pandas.read_csv(file, keep_default_na=False, na_values=[""], low_memory=False)
