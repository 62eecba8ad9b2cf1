"""``face-perception sweep``: trains a recipe with many settings, and compares the results."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from face_perception.commands.number_arguments import positive_integer
from face_perception.commands.subcommands import add_command
from face_perception.optional_modules import extra


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sweep = add_command(
        subparsers, "sweep", "Train a recipe with many settings, and compare the results."
    )
    sweep.add_argument("recipe", help="YAML file of a recipe with lists of values under `sweep`")
    sweep.add_argument(
        "--data",
        type=Path,
        help="folder of the data set; default: each job makes its own synthetic people",
    )
    sweep.add_argument(
        "--out",
        type=Path,
        help="folder for the jobs; default: out/RECIPE; to continue, give it again",
    )
    sweep.add_argument(
        "--split",
        choices=("train", "validation", "test"),
        default="validation",
        help="part of the data set to measure on, if the recipe holds out no person; default: "
        "%(default)s",
    )
    sweep.add_argument(
        "--by",
        default="",
        metavar="FIGURE",
        help="figure to sort the table by, the least first; --by=-FIGURE: the greatest first",
    )
    where = sweep.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=positive_integer,
        default=len(os.sched_getaffinity(0)),
        help="networks that this machine trains at a time; default: one for each processor",
    )
    where.add_argument(
        "--ray",
        default="",
        metavar="ADDRESS",
        help="Ray cluster that trains them: HOST:PORT, auto, or local (needs ray[tune])",
    )
    sweep.set_defaults(run=_sweep)


def _sweep(args: argparse.Namespace) -> int:
    with extra("training", "pip install '.[training]' in the source tree"):
        from face_perception.learning import sweep

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    jobs = sweep.read_jobs(args.recipe)
    if args.by:
        sweep.check_figure(jobs, args.by)
    out = args.out or Path("out") / Path(args.recipe).stem
    found = sweep.run_sweep(
        jobs,
        args.data,
        out,
        split=args.split,
        workers=args.workers,
        ray=args.ray,
        report=report,
    )
    if args.by and not any(args.by.removeprefix("-") in one.figures for one in found):
        report(f"no job has the figure of --by={args.by}, so the table is not sorted")
    for line in sweep.table(found, args.by):
        print("\t".join(line))
    return int(any(one.failed for one in found))
