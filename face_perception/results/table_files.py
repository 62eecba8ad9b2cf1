"""Writes tables as CSV or Parquet files, and a dictionary of their columns."""

from __future__ import annotations

import csv
import itertools
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from face_perception.files import named_errors
from face_perception.results.columns import Column, Value
from face_perception.results.parquet_support import require_pyarrow
from face_perception.results.study_tables import Table

_ROWS_AT_ONCE = 10_000  # of a Parquet file in memory
_KINDS = {float: "number", int: "integer", str: "text", bool: "boolean"}


def write_table(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> int:
    """Writes a table, as its ending says, and returns the number of rows.

    The file appears when it is complete. Raises OSError, and MissingDependencyError for Parquet
    without pyarrow.
    """
    write = _write_csv if path.suffix.lower() == ".csv" else _write_parquet
    part = path.with_name(f".{path.name}.part")
    try:
        with named_errors(path):
            count = write(part, columns, iter(rows))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return count


def write_dictionary(path: Path, tables: Iterable[Table]) -> None:
    """Writes a CSV with type, unit and meaning of each column of some tables."""
    lines = [
        (table.name, column.name, _KINDS[column.type], column.unit, column.meaning)
        for table in tables
        for column in table.columns
    ]
    names = ("table", "column", "type", "unit", "meaning")
    wanted = [Column(name, str, "", "", operator.itemgetter(i)) for i, name in enumerate(names)]
    write_table(path, wanted, lines)


def _write_csv(path: Path, columns: Sequence[Column], rows: Iterator[Sequence[Value]]) -> int:
    count = 0
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([column.name for column in columns])
        for row in rows:
            table.writerow([_text(value) for value in row])
            count += 1
    return count


def _text(value: Value) -> Value:
    """Returns a value as R and pandas read it: TRUE and FALSE, nothing for unknown."""
    return str(value).upper() if isinstance(value, bool) else value


def _write_parquet(path: Path, columns: Sequence[Column], rows: Iterator[Sequence[Value]]) -> int:
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {float: pa.float64(), int: pa.int64(), str: pa.string(), bool: pa.bool_()}
    schema = pa.schema(
        [
            pa.field(c.name, types[c.type], metadata={"unit": c.unit, "meaning": c.meaning})
            for c in columns
        ]
    )
    count = 0
    # pyarrow would take a name with a colon for an address.
    with open(path, "wb") as file, pq.ParquetWriter(file, schema) as table:
        while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            values = [list(column) for column in zip(*some, strict=True)]
            table.write_table(pa.table(values, schema=schema))
            count += len(some)
    return count
