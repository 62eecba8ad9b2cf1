"""``face-perception table``: makes a table for statistics of the results of ``run``."""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from face_perception.commands.optional_modules import extra
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError
from face_perception.results_table import Column, Value, columns, rows

_SUFFIXES = (".csv", ".parquet")
_ROWS_AT_ONCE = 10_000  # of a Parquet file in memory


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "table",
        "Make a table of results of `run`: one row for each face in each frame.",
    )
    parser.add_argument(
        "input", nargs="+", metavar="FILE.jsonl", help="results of `face-perception run`"
    )
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="FILE.csv|FILE.parquet",
        help="table to write; Parquet has the units and needs `pip install '.[table]'`",
    )
    parser.add_argument(
        "--degrees",
        action="store_true",
        help="add a column in degrees, NAME_deg, after each column in radians",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    output: Path = args.output
    if output.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{output} must end in {' or '.join(_SUFFIXES)}")
    inputs = [Path(path) for path in args.input]
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise InputError(f"{output} is an input file: give the table another name")
    wanted = columns(args.input, degrees=args.degrees)
    found = itertools.chain.from_iterable(rows(path, wanted) for path in args.input)
    write = _write_csv if output.suffix.lower() == ".csv" else _write_parquet
    part = output.with_name(f".{output.name}.part")
    try:
        count = write(part, wanted, found)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)
    print(f"{output}: {count} rows, {len(wanted)} columns", file=sys.stderr)
    return 0


def _write_csv(path: Path, wanted: Sequence[Column], found: Iterator[list[Value]]) -> int:
    count = 0
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([column.name for column in wanted])
        for row in found:
            table.writerow([_text(value) for value in row])
            count += 1
    return count


def _text(value: Value) -> Value:
    """Returns a value as R and pandas read it: TRUE and FALSE, nothing for unknown."""
    return str(value).upper() if isinstance(value, bool) else value


def _write_parquet(path: Path, wanted: Sequence[Column], found: Iterator[list[Value]]) -> int:
    with extra("a Parquet file", "pip install pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    types = {float: pa.float64(), int: pa.int64(), str: pa.string(), bool: pa.bool_()}
    schema = pa.schema(
        [
            pa.field(c.name, types[c.type], metadata={"unit": c.unit, "meaning": c.meaning})
            for c in wanted
        ]
    )
    count = 0
    # pyarrow would take a name with a colon for an address.
    with open(path, "wb") as file, pq.ParquetWriter(file, schema) as table:
        while some := list(itertools.islice(found, _ROWS_AT_ONCE)):
            values = [list(column) for column in zip(*some, strict=True)]
            table.write_table(pa.table(values, schema=schema))
            count += len(some)
    return count
