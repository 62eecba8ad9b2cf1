"""``face-perception bench``: times each network, and compares it with the machine's peak speed."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from face_perception.commands.network_choice import add_network_names, chosen_networks
from face_perception.commands.number_arguments import positive_integer
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "bench", "Time the networks on each backend of this machine.")
    add_network_names(parser)
    parser.add_argument(
        "--backend",
        choices=("all", "onnxruntime", "tensorrt"),
        default="all",
        help="backend to time; one that cannot run is reported with the reason; default: all",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="precision of the networks; default: %(default)s",
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        default=[1, 2, 4, 8],
        metavar="N",
        help="batch sizes; default: 1 2 4 8",
    )
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=1,
        metavar="N",
        help="CPU threads of each network; default: %(default)s",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        metavar="S",
        help="time spent on each network and backend; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if min(args.batch) < 1:
        raise InputError(f"--batch must be 1 or more, not {min(args.batch)}")
    report = measure(args)
    if args.json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        _print(report)
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the measurements as JSON values.

    A row that could not run has ``not_run``, a reason.
    """
    from face_perception.inference import (
        ModelError,
        gemm_peak,
        infer_overhead,
        load,
        measure_speeds,
    )

    names = chosen_networks(args.names)
    backends = ("onnxruntime", "tensorrt") if args.backend == "all" else (args.backend,)
    before = gemm_peak(args.threads)
    rows: list[dict[str, Any]] = []
    for name in names:
        for backend in backends:
            row: dict[str, Any] = {"model": name, "backend": backend, "precision": args.precision}
            rows.append(row)
            if not args.json:
                print(f"{name}, {backend} …", file=sys.stderr)
            try:
                model = load(name, backend=backend, precision=args.precision, threads=args.threads)
            except ModelError as error:
                row["not_run"] = str(error)
                continue
            row["runs_on"] = model.why
            found = measure_speeds(model, sorted(set(args.batch)), seconds=args.seconds)
            if backend == "onnxruntime":
                row["over_raw"] = round(infer_overhead(model, seconds=args.seconds), 4)
            row["batches"] = [
                {
                    "batch": speed.batch,
                    "least_ms": round(1e3 * speed.times.least, 4),
                    "p50_ms": round(1e3 * speed.times.p50, 4),
                    "p95_ms": round(1e3 * speed.times.p95, 4),
                    "gflops": round(speed.flops_per_second / 1e9, 2),
                }
                for speed in found
            ]
    # Take the larger of two measurements, because the machine may have been busy during one.
    peak = max(before, gemm_peak(args.threads))
    return {"gemm_gflops": round(peak / 1e9, 1), "threads": args.threads, "models": rows}


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("model", "backend", "batch", "ms", "p50", "p95", "GFLOP/s", "of peak"):
        table.add_column(column, justify="left" if column in ("model", "backend") else "right")
    notes = []
    for row in report["models"]:
        for number, speed in enumerate(row.get("batches", ())):
            table.add_row(
                row["model"] if number == 0 else "",
                f"{row['backend']} {row['precision']}" if number == 0 else "",
                str(speed["batch"]),
                f"{speed['least_ms']:.2f}",
                f"{speed['p50_ms']:.2f}",
                f"{speed['p95_ms']:.2f}",
                f"{speed['gflops']:.1f}",
                f"{speed['gflops'] / report['gemm_gflops']:.0%}",
            )
        if "over_raw" in row:
            percent = 100 * (row["over_raw"] - 1)
            notes.append(
                f"{row['model']}: Model.infer takes {percent:+.1f} % longer than session.run"
            )
        if "not_run" in row:
            notes.append(f"{row['model']} on {row['backend']} did not run: {row['not_run']}")
    console = Console()
    console.print(table)
    console.print(
        f"peak: {report['gemm_gflops']} GFLOP/s, measured in this run with a matrix product in "
        f"FP32 by ONNX Runtime on {report['threads']} thread(s); ms: the fastest call",
        highlight=False,
    )
    for note in notes:
        console.print(note, highlight=False, markup=False)
