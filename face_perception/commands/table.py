"""``face-perception table``: makes tables for statistics of the results of ``run``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from face_perception.commands.event_options import add_event_options, event_settings
from face_perception.commands.subcommands import add_command, print_warning
from face_perception.errors import InputError
from face_perception.event_settings import changed_limits


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "table",
        "Make tables of results of `run`: of each face in each frame, of events and of persons.",
    )
    parser.add_argument(
        "input",
        nargs="+",
        metavar="FILE.jsonl|SESSION",
        help="results of `face-perception run`, or folders of sessions",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE.csv|FILE.parquet|FOLDER",
        help="file for one table with a row for each face in each frame; or folder, made if "
        "needed, for the tables frames, events, persons, targets and markers, and a dictionary of "
        "their columns. Parquet has the units and needs `pip install '.[table]'`",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options but ``--output``."""
    parser.add_argument(
        "--format",
        type=_format,
        metavar="csv|parquet",
        help="format of the tables in a folder; default: csv",
    )
    parser.add_argument(
        "--degrees",
        action="store_true",
        help="add a column in degrees, NAME_deg, after each column in radians",
    )
    parser.add_argument(
        "--elan",
        action="store_true",
        help="also write NAME.eaf of each clip into the folder, for ELAN, with the film linked",
    )
    parser.add_argument(
        "--boris",
        action="store_true",
        help="also write NAME.boris.xlsx of each clip into the folder, to import into BORIS",
    )
    add_event_options(parser)


def _format(text: str) -> str:
    """Returns the format of a table: an argument type for argparse."""
    from face_perception.results import SUFFIXES

    if f".{text}" not in SUFFIXES:
        formats = " or ".join(suffix[1:] for suffix in SUFFIXES)
        raise argparse.ArgumentTypeError(f"{text!r} is unknown: use {formats}")
    return text


def run(args: argparse.Namespace) -> int:
    from face_perception.results import SUFFIXES, frame_columns, frame_rows, write_table

    output = Path(args.output)
    is_folder = output.is_dir() or not output.suffix or args.output.endswith("/")
    if not is_folder and output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output} must end in {' or '.join(SUFFIXES)}, or be a folder")
    if is_folder:
        write_study(args, output)
        return 0
    for option in ("format", "elan", "boris"):
        if getattr(args, option):
            raise InputError(f"--{option} is for a folder, and {output} is a file: leave it out")
    if limits := changed_limits(event_settings(args)):
        raise InputError(
            f"{output} is a table of frames, which has no events: give a folder, or leave out the "
            f"limits of events ({limits})"
        )
    inputs = [Path(path) for path in args.input]
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise InputError(f"{output} is an input file: give the table another name")
    columns = frame_columns(args.input, degrees=args.degrees, warn=print_warning)
    rows = (row for path in args.input for row in frame_rows(path, columns))
    count = write_table(output, columns, rows)
    print(f"{output}: {count} rows, {len(columns)} columns", file=sys.stderr)
    return 0


def check_study(args: argparse.Namespace, folder: Path) -> None:
    """Raises what ``write_study`` raises for a wrong folder or format. Call it before long work."""
    from face_perception.media import is_session
    from face_perception.results import require_pyarrow

    if is_session(folder):  # it has a markers.csv already
        raise InputError(f"{folder} is a session: give the tables another folder")
    if args.format == "parquet":
        require_pyarrow()


def write_study(args: argparse.Namespace, folder: Path) -> None:
    """Writes all tables of the results ``args.input``. Raises what ``study_tables`` raises."""
    from face_perception.results import study_tables, write_dictionary, write_table

    check_study(args, folder)
    folder.mkdir(parents=True, exist_ok=True)
    suffix = f".{args.format or 'csv'}"
    tables = []
    settings = event_settings(args)
    for table in study_tables(
        args.input, degrees=args.degrees, settings=settings, warn=print_warning
    ):
        path = folder / f"{table.name}{suffix}"
        count = write_table(path, table.columns, table.rows)
        print(f"{path}: {count} rows, {len(table.columns)} columns", file=sys.stderr)
        tables.append(table)
    write_dictionary(folder / "columns.csv", tables)
    print(f"{folder / 'columns.csv'}: type, unit and meaning of each column", file=sys.stderr)
    if args.elan or args.boris:
        for path in map(Path, args.input):
            _write_annotations(args, path, folder)


def _write_annotations(args: argparse.Namespace, results: Path, folder: Path) -> None:
    """Writes the events of one clip for other programs."""
    from face_perception.results import find_events, read_clip, read_record, write_boris, write_elan

    clip = read_clip(results)
    events = find_events(clip, event_settings(args))
    if args.elan:
        record = read_record(results)
        write_elan(folder / f"{clip.name}.eaf", clip, events, record.input if record else "")
        if record is None:
            print(f"{clip.name}.eaf: the film is not known, link it in ELAN", file=sys.stderr)
    if args.boris:
        write_boris(folder / f"{clip.name}.boris.xlsx", clip, events)
