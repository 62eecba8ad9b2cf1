"""``face-perception annotate``: analyses clips, and makes the tables of a study of their results.

It is ``run`` and then ``table``, into one folder.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from face_perception.commands import run as run_command
from face_perception.commands import table as table_command
from face_perception.commands.clip_inputs import clips_in
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "annotate",
        "Analyse pictures and videos, and make tables of them: `run`, then `table`. Needs no ROS.",
    )
    run_command.add_inputs(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FOLDER",
        help="folder, made if needed, for the results (NAME.jsonl of each clip) and the tables",
    )
    run_command.add_options(parser)
    before = {action.dest for action in parser._actions}
    table_command.add_options(parser)
    ours = {action.dest for action in parser._actions} - before
    parser.set_defaults(run=run, table_options=sorted(ours))


def run(args: argparse.Namespace) -> int:
    folder = Path(args.output)
    if args.output == "-":
        raise InputError("annotate writes several files: give --output FOLDER")
    table_command.check_study(args, folder)
    args.input = clips_in(args.input)
    os.makedirs(folder, exist_ok=True)
    # The options of the tables are no settings of the results: `run --resume` compares these.
    of_run = {
        name: value
        for name, value in vars(args).items()
        if name not in (*args.table_options, "table_options")
    }
    tasks, failed = run_command.analyse(argparse.Namespace(**of_run))
    # Without the clips that failed: an earlier run may have left results of them.
    done = [task.output for task in tasks if task.input not in failed]
    if done:
        of_table = {name: getattr(args, name) for name in args.table_options}
        table_command.write_study(argparse.Namespace(**of_table, input=done), folder)
    return int(bool(failed))
