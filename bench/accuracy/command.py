"""`bench/people.py`: which measures run, on what, and where the results go."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.accuracy import (
    action_units,
    blinks,
    data_sets,
    expression,
    faces,
    gaze_bands,
    gaze_tablet,
    head_pose,
    lens,
    lips,
    press_looks,
    product,
    report,
    voice,
)
from bench.accuracy.context import Context, Findings
from bench.accuracy.data_sets import Missing
from bench.accuracy.provenance import ROOT
from face_perception.gaze import GEOMETRIC

RESULTS = ROOT / "bench" / "results"

MEASURES = {
    one.MEASURE.name: one.MEASURE
    for one in (
        gaze_bands,
        gaze_tablet,
        lens,
        press_looks,
        head_pose,
        faces,
        expression,
        action_units,
        blinks,
        voice,
        lips,
    )
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="bench/people.py",
        description=(
            "Measures the accuracy of the product's outputs on public labelled sets, prints a "
            "table with 95 % bootstrap intervals and writes bench/results/people-DATE-COMMIT.json."
        ),
        epilog="The sets; each is optional:\n" + data_sets.description(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "data", type=Path, metavar="DATA", help="folder with a sub-folder of each set"
    )
    made.add_argument(
        "--only", choices=MEASURES, action="append", metavar="MEASURE", help=", ".join(MEASURES)
    )
    made.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep results for each picture there, for the next run of the same code; no pictures",
    )
    made.add_argument(
        "--donor",
        type=Path,
        metavar="PICTURE",
        help="frontal, calm face that the eye bands are set into; default: one of "
        "DATA/facial_expressions, "
        "else the demo's photograph of Grace Hopper",
    )
    made.add_argument(
        "--gaze",
        default=GEOMETRIC,
        metavar="MODEL",
        help="gaze estimator: geometric (default), or the name or path of the card of a gaze "
        "network, whose results need a separate folder (--results)",
    )
    made.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR",
        help="where the JSON file goes; default: bench/results",
    )  # fmt: skip
    return made


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    if not options.data.is_dir():
        print(f"{options.data} is not a folder: see --help for what belongs in it", file=sys.stderr)
        return 2
    if options.gaze != GEOMETRIC and options.results == RESULTS:
        print("bench/results is for the default gaze: give another --results", file=sys.stderr)
        return 2
    product.choose_gaze(options.gaze)
    context = Context(options.data.resolve(), cache=options.cache, donor=options.donor)
    origin = report.origin()
    findings: dict[str, Findings] = {}
    missing: dict[str, str] = {}
    for name in options.only or MEASURES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        begin = time.process_time()
        try:
            findings[name] = MEASURES[name].run(context)
        except Missing as reason:
            missing[name] = str(reason)
            print(f"  {reason}", file=sys.stderr)
            continue
        print(f"  {time.process_time() - begin:.0f} s of CPU", file=sys.stderr, flush=True)
    print(report.text([row for found in findings.values() for row in found.rows]))
    for name, why in missing.items():
        print(f"{name}: {why}")
    if not findings:
        return 1
    made = report.document(context, findings, missing, origin)
    print(f"\nwrote {report.write(made, options.results)}")
    if made["changed"]:
        print("the code differs from its commit: commit, then run again to publish the figures")
    return 0
