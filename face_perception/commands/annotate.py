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


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "annotate",
        "Analyse pictures and videos, and make tables of them: `run`, then `table`. Needs no ROS.",
    )
    run_command.add_inputs(parser)
    parser.add_argument(
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
    from face_perception.commands.clip_record import has_results
    from face_perception.media import result_stem

    folder = Path(args.output)
    os.makedirs(folder, exist_ok=True)
    args.input = clips_in(args.input)
    # The options of the tables are no settings of the results: `run --resume` compares these.
    of_run = {
        name: value
        for name, value in vars(args).items()
        if name not in (*args.table_options, "table_options")
    }
    code = run_command.run(argparse.Namespace(**of_run))
    results = [folder / f"{result_stem(Path(name))}.jsonl" for name in args.input]
    done = [str(path) for path in results if has_results(path)]
    if done:
        of_table = {name: getattr(args, name) for name in args.table_options}
        table_command.write_study(argparse.Namespace(**of_table, input=done), folder)
    return code
