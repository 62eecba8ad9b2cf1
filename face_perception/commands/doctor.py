"""``face-perception doctor``: does this work here, and what exactly runs? Says what to do if not.

Exit code 0 where perception works on some backend, whatever optional is absent; 1 where something
that is there does not work.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from face_perception.commands.machine_checks import ABSENT, OK, WRONG, device, findings

if TYPE_CHECKING:
    from face_perception.inference import Model

NEVER_RUN = (
    "No engine of this package has ever run on a GPU: building is tested with TensorRT-RTX, "
    "running is not. Trust what the gate says on your own device."
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("doctor", help="does it work on this machine, and how fast?")
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    parser.add_argument("--seconds", type=float, default=0.5, help="to time each network")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    found = findings()
    networks = _networks(args.seconds)
    broken = [each for each in found if each.state == WRONG]
    # A variant that the gate keeps off is no fault: nobody runs it who did not ask for it.
    broken_networks = [
        row
        for row in networks
        if row["state"] == WRONG or (row["state"] == "refused" and row["precision"] == "fp32")
    ]
    ok = not (broken or broken_networks) and any(row["state"] == "ran" for row in networks)
    if args.json:
        report = {
            "ok": ok,
            "device": device(),
            "findings": [dataclasses.asdict(each) for each in found],
            "networks": networks,
            "note": NEVER_RUN,
        }
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        _print(found, networks, ok)
    return 0 if ok else 1


def _networks(seconds: float) -> list[dict[str, Any]]:
    """Every network on every backend in every precision that there is a file of."""
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
    from face_perception.inference import measure_speeds

    speed = measure_speeds(model, (1,), seconds=seconds)[0]
    gate = [str(deviation) for deviation in model.deviations]
    return {
        "state": "ran",
        "gate": "; ".join(gate) or "is the reference",
        "p50_ms": round(1e3 * speed.times.p50, 3),
        "p95_ms": round(1e3 * speed.times.p95, 3),
        "why": model.why,
    }


def _not_run(name: str, backend: str, precision: str, why: str) -> dict[str, Any]:
    """``built`` where only the device is missing, else absent or wrong."""
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
            return {"state": ABSENT, "why": f"{no_gpu}; and nothing was built: {error}"}
        return {"state": "built", "why": f"built, not run: {no_gpu}", "engine": str(path)}
    return {"state": WRONG, "why": why}


def _print(found: list[Any], networks: list[dict[str, Any]], ok: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(", ".join(f"{name} {value}" for name, value in device().items()), markup=False)
    colours = {OK: "green", "ran": "green", ABSENT: "yellow", "built": "yellow"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in found:
        text = each.found + (f" ({each.fix})" if each.fix else "")
        table.add_row(f"[{colours.get(each.state, 'red')}]{each.state}[/]", each.name, text)
    console.print(table)
    table = Table(box=None, pad_edge=False)
    for column in ("", "network", "backend", "p50 / p95 ms", "against ONNX Runtime FP32"):
        table.add_column(column)
    for row in networks:
        times = f"{row['p50_ms']:.2f} / {row['p95_ms']:.2f}" if row["state"] == "ran" else ""
        colour = colours.get(row["state"], "red")
        table.add_row(
            f"[{colour}]{row['state']}[/]",
            row["model"],
            f"{row['backend']} {row['precision']}",
            times,
            # The rest of it is in the findings above, and in the JSON.
            row.get("gate") or row["why"].split(" and is ")[-1].split(": no usable")[0],
        )
    console.print(table)
    console.print(NEVER_RUN, highlight=False)
    console.print("It works here." if ok else "It does not work here: see what is red above.")
