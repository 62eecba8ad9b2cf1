"""``face-perception doctor``: checks whether face_perception works on this machine.

Returns exit code 0 if perception runs on at least one backend and nothing that is installed is
broken, and 1 otherwise. A missing optional part is not an error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from face_perception.commands.machine_checks import ABSENT, OK, WRONG, check_machine, machine_info
from face_perception.commands.subcommands import add_command

if TYPE_CHECKING:
    from face_perception.inference import Model

NEVER_RUN = (
    "Building TensorRT engines is tested with TensorRT-RTX, but no engine of this package has run "
    "on a GPU yet. Rely on the comparison with FP32 on your own device."
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "doctor",
        "Check whether everything works on this machine, and time the networks.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.05,
        metavar="S",
        help="time spent on each network and backend; default: %(default)s",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    found = check_machine()
    networks = _networks(args.seconds)
    broken = [each for each in found if each.state == WRONG]
    # A variant that the gate refuses is no fault: it runs only if somebody chooses it.
    broken_networks = [
        row
        for row in networks
        if row["state"] == WRONG or (row["state"] == "refused" and row["precision"] == "fp32")
    ]
    ok = not (broken or broken_networks) and any(row["state"] == "ran" for row in networks)
    if args.json:
        report = {
            "ok": ok,
            "device": machine_info(),
            "findings": [dataclasses.asdict(each) for each in found],
            "networks": networks,
            "note": NEVER_RUN,
        }
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        _print(found, networks, ok)
    return 0 if ok else 1


def _networks(seconds: float) -> list[dict[str, Any]]:
    """Returns one row for each network, backend, and precision that has a file."""
    from face_perception.commands.network_choice import chosen_networks
    from face_perception.inference import Disagreement, ModelError, load, read_variant

    rows: list[dict[str, Any]] = []
    for name in chosen_networks():
        for backend in ("onnxruntime", "tensorrt"):
            for precision in ("fp32", "fp16", "int8"):
                kind = precision
                if precision == "int8":
                    kind = "int8-cpu" if backend == "onnxruntime" else "int8-trt"
                try:
                    if precision != "fp32":
                        read_variant(name, kind)
                except ModelError:
                    continue
                print(f"{name}, {backend}, {precision} …", file=sys.stderr)
                row: dict[str, Any] = {"model": name, "backend": backend, "precision": precision}
                try:
                    row |= _ran(load(name, backend=backend, precision=precision), seconds)
                except Disagreement as error:
                    row |= {"state": "refused", "why": str(error)}
                except ModelError as error:
                    row |= _not_run(name, backend, precision, str(error))
                rows.append(row)
    return rows


def _ran(model: Model, seconds: float) -> dict[str, Any]:
    from face_perception.inference import compare_speeds

    times = compare_speeds({"": model}, (1,), seconds=seconds)[1][""]
    gate = [str(deviation) for deviation in model.deviations]
    return {
        "state": "ran",
        "gate": "; ".join(gate) or "the reference",
        "p50_ms": round(1e3 * times.p50, 3),
        "p95_ms": round(1e3 * times.p95, 3),
        "why": model.why,
    }


def _not_run(name: str, backend: str, precision: str, why: str) -> dict[str, Any]:
    """Returns the state of a network that did not run: built, absent or wrong.

    ``built`` means that an engine was built, but there is no GPU to run it.
    """
    from face_perception.inference import (
        ModelError,
        build_tensorrt_engine,
        find_gpu,
        tensorrt_version,
    )

    if backend == "onnxruntime":
        return {"state": WRONG, "why": why}
    try:
        tensorrt_version()
    except ModelError as error:
        return {"state": ABSENT, "why": str(error)}
    try:
        find_gpu()
    except ModelError as no_gpu:
        try:
            path = build_tensorrt_engine(name, precision)
        except ModelError as error:
            return {"state": ABSENT, "why": f"{no_gpu}; building the engine failed: {error}"}
        return {"state": "built", "why": f"built, but not run: {no_gpu}", "engine": str(path)}
    return {"state": WRONG, "why": why}


def _print(found: list[Any], networks: list[dict[str, Any]], ok: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        ", ".join(f"{name} {value}" for name, value in machine_info().items()), markup=False
    )
    colours = {OK: "green", "ran": "green", ABSENT: "yellow", "built": "yellow"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in found:
        text = each.found + (f" ({each.fix})" if each.fix else "")
        table.add_row(f"[{colours.get(each.state, 'red')}]{each.state}[/]", each.name, text)
    console.print(table)
    table = Table(box=None, pad_edge=False)
    for column in ("", "network", "backend", "p50 / p95 ms", "deviation from ONNX Runtime FP32"):
        table.add_column(column)
    for row in networks:
        times = f"{row['p50_ms']:.2f} / {row['p95_ms']:.2f}" if row["state"] == "ran" else ""
        colour = colours.get(row["state"], "red")
        table.add_row(
            f"[{colour}]{row['state']}[/]",
            row["model"],
            f"{row['backend']} {row['precision']}",
            times,
            # Print the first part. The JSON report has all of it.
            row.get("gate") or row["why"].split(" and is ")[-1].split(": no usable")[0],
        )
    console.print(table)
    console.print(NEVER_RUN, highlight=False)
    console.print(
        "face_perception works on this machine."
        if ok
        else "face_perception does not work on this machine: see the red lines above."
    )
