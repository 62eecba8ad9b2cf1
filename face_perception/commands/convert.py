"""``face-perception convert``: converts a published data set to the layout that recipes read.

The readers of the data sets are in ``learning/data``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from pathlib import Path

from face_perception.commands.subcommands import add_command
from face_perception.optional_modules import extra


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "convert", "Convert a published data set to the layout that `train` reads."
    )
    sets = parser.add_subparsers(metavar="DATASET", required=True)
    mpii = add_command(sets, "mpiifacegaze", "Convert the unpacked MPIIFaceGaze data set.")
    mpii.add_argument("source", type=Path, help="folder that contains p00 to p14")
    mpii.add_argument("out", type=Path, help="new folder to write")
    mpii.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="PERSON",
        help="person of the test split, such as p14; repeat for several; all others are for "
        "training; default: the last fifth of the people",
    )
    mpii.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="take every N-th photograph of a person; default: 1",
    )
    mpii.set_defaults(run=_mpiifacegaze)
    rendered = add_command(sets, "rendered", "Convert rendered people (docs/rendered_people.md).")
    rendered.add_argument("source", type=Path, help="folder of rendered people")
    rendered.add_argument("out", type=Path, help="new folder to write")
    rendered.set_defaults(run=_rendered)


def _mpiifacegaze(args: argparse.Namespace) -> int:
    from face_perception.faces import load_tracker

    with extra("converting", "pip install '.[training]' in the source tree"):
        module = importlib.import_module("face_perception.learning.data.mpiifacegaze")
        counts = module.convert(
            args.source,
            args.out,
            tracker=load_tracker(),
            test=args.test,
            every=args.every,
            report=_report,
        )
    return _counted(counts)


def _rendered(args: argparse.Namespace) -> int:
    from face_perception.faces import load_tracker

    with extra("converting", "pip install '.[training]' in the source tree"):
        module = importlib.import_module("face_perception.learning.data.rendered_people")
        counts = module.convert(args.source, args.out, tracker=load_tracker(), report=_report)
    return _counted(counts)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _counted(counts: Counter[str]) -> int:
    for reason, count in counts.most_common():
        print(f"{reason if reason == 'written' else 'skipped, ' + reason}: {count}")
    return 0
