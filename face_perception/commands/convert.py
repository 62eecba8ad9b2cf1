"""``face-perception convert``: a published data set into the layout that every recipe reads.

What is read is in ``training/<data set>.py``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from face_perception.commands.optional_modules import extra


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("convert", help="a published data set into our layout")
    sets = parser.add_subparsers(metavar="DATASET", required=True)
    mpii = sets.add_parser("mpiifacegaze", help="MPIIFaceGaze, unpacked: p00 to p14")
    mpii.add_argument("source", type=Path, help="its folder")
    mpii.add_argument("out", type=Path, help="a new folder")
    mpii.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="PERSON",
        help="keep for testing (p14), all others train; default: the last fifth",
    )
    mpii.add_argument("--every", type=int, default=1, help="every N-th photograph of a person")
    mpii.set_defaults(run=_mpiifacegaze)


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
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
    for reason, count in counts.most_common():
        print(f"{reason if reason == 'written' else 'left out, ' + reason}: {count}")
    return 0
