"""``face-perception report``: makes a web page of results, with figures and warnings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from face_perception.commands.event_options import add_event_options, event_settings
from face_perception.commands.subcommands import add_command, print_warning
from face_perception.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "report",
        "Make one self-contained web page of results, with figures and warnings. Needs "
        "`pip install '.[report]'`.",
    )
    parser.add_argument(
        "input",
        nargs="+",
        metavar="FILE.jsonl|SESSION|TABLE|FOLDER",
        help="results of `face-perception run`, the folder of a session, or a table of frames of "
        "`face-perception table`, or its folder",
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE.html", help="page to write"
    )
    parser.add_argument("--title", default="Session report", help="title of the page")
    add_event_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from face_perception.files import write_atomically
    from face_perception.report import report_page
    from face_perception.results import find_events, read_clips, summarise_persons

    output: Path = args.output
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output} must end in .html")
    clips, settings = [], event_settings(args)
    for path in args.input:
        for clip in read_clips(path, print_warning):
            events = find_events(clip, settings)
            clips.append((clip, events, summarise_persons(clip, events)))
    write_atomically(output, report_page(clips, args.title, settings).encode())
    print(f"{output}: {len(clips)} clip(s)", file=sys.stderr)
    return 0
