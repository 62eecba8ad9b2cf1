"""`make gpu-check`: checks and times TensorRT on a machine with a GPU, and writes a report.

    python3 bench/gpu_check.py [NAME ...] [--precision fp32 fp16] [--seconds 2] [--no-graph]

For each installed network and precision: builds the engine, compares its outputs with those of ONNX
Runtime (the accuracy gate), and times both in turns. Then runs the composed graph with each
backend. The engines are built in an empty cache, so that every build is timed. FP16 variants that
are missing are made in the model cache. Each network runs in a separate process, because an error
of CUDA makes all later calls of its process fail.

Writes `gpu_check-DATE-COMMIT.json` and `.txt` to `bench/results`, or to the folder after --output.
`bench/compare.py` compares two of the JSON files. Exit code 0: every network passed in FP32, and
the graph ran. 1: something failed, and the report says what. 69: TensorRT cannot run here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, commit
from bench.musetalk_engines import made
from face_perception import paths
from face_perception.commands.machine_checks import machine_info
from face_perception.commands.network_choice import chosen_networks
from face_perception.errors import FacePerceptionError
from face_perception.exit_codes import exit_reason
from face_perception.inference import (
    Disagreement,
    ModelError,
    build_tensorrt_engine,
    compare_speeds,
    find_gpu,
    load,
    onnxruntime_version,
    tensorrt_version,
)
from face_perception.inference.tensorrt.cuda import Cuda

FAILED, NO_GPU = 1, 69  # EX_UNAVAILABLE of sysexits.h
BACKENDS = ("onnxruntime", "tensorrt")
BATCHES = (1, 2, 4, 8)
GRAPH = Path(__file__).with_name("graph.py")

# A row of the report: a network in a precision. ``gate`` is accepted, refused or not run; ``why``
# is there only if something failed.
Row = dict[str, Any]


def check_network(name: str, precision: str, seconds: float) -> Row:
    """Builds, gates and times one network with TensorRT. A failure becomes ``why`` in the row."""
    row: Row = {"network": name, "precision": precision, "gate": "not run"}
    try:
        if precision != "fp32":
            made(name, precision)
        begin = time.monotonic()
        build_tensorrt_engine(name, precision)
        row["build_seconds"] = round(time.monotonic() - begin, 2)
        model = load(name, backend="tensorrt", precision=precision)
        row |= {
            "gate": "accepted",
            "deviations": [str(each) for each in model.deviations],
            "runs_on": model.why,
        }
        models = {"onnxruntime": load(name, backend="onnxruntime"), "tensorrt": model}
        row["batches"] = [
            {
                "batch": batch,
                **{f"{key}_ms": round(1e3 * times.p50, 4) for key, times in found.items()},
                "tensorrt_p95_ms": round(1e3 * found["tensorrt"].p95, 4),
                "ratio": round(found["tensorrt"].p50 / found["onnxruntime"].p50, 4),
            }
            for batch, found in compare_speeds(models, BATCHES, seconds=seconds).items()
        ]
    except Disagreement as error:
        row |= {"gate": "refused", "why": str(error)}
    except FacePerceptionError as error:
        row["why"] = str(error)
    return row


def check_apart(name: str, precision: str, seconds: float) -> Row:
    """Runs ``check_network`` in a separate process."""
    script = [sys.executable, sys.argv[0], name, "--precision", precision]
    done = subprocess.run(
        [*script, "--seconds", str(seconds), "--as-json"], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        why = f"the process of the check ended with {exit_reason(done.returncode)}"
        return {"network": name, "precision": precision, "gate": "not run", "why": why}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def check_graph(seconds: float, folder: Path) -> dict[str, Any]:
    """Runs the composed graph with each backend, and returns the figures of ``bench/graph.py``.

    Returns ``why`` instead if it failed.
    """
    file = folder / "graph.json"
    options = ["--rounds", "1", "--seconds", str(seconds), "--figures", str(file)]
    done = subprocess.run([sys.executable, str(GRAPH), "--backends", *BACKENDS, *options])
    if done.returncode:
        return {"why": f"bench/graph.py ended with {exit_reason(done.returncode)}"}
    figures: dict[str, Any] = json.loads(file.read_text())["figures"]
    return figures


def device_info() -> dict[str, Any]:
    """Returns the GPU, the machine, and the versions of what runs the networks."""
    cuda = Cuda()
    return {
        "gpu": dataclasses.asdict(find_gpu()),
        **machine_info(),
        "cuda_of_driver": _version(cuda.call("cudaDriverGetVersion")),
        "cuda_of_runtime": _version(cuda.call("cudaRuntimeGetVersion")),
        "tensorrt": tensorrt_version(),
        "onnxruntime": onnxruntime_version(),
        "python": platform.python_version(),
    }


def _version(number: int) -> str:
    """Returns a version of CUDA as text: 12.6 for 12060."""
    return f"{number // 1000}.{number % 1000 // 10}"


def report_text(report: Mapping[str, Any]) -> str:
    """Returns the report for people."""
    device = report["device"]
    gpu = device["gpu"]
    lines = [
        f"gpu-check of {report['date']}, commit {report['commit']}",
        f"{gpu['name']}, compute capability {gpu['capability']}, {gpu['memory'] / 2**30:.1f} GB; "
        f"{device['machine']}, {device['processor']}, {device['cores']} cores, {device['system']}",
        f"{device['tensorrt']}, CUDA {device['cuda_of_runtime']} (the driver's: "
        f"{device['cuda_of_driver']}), ONNX Runtime {device['onnxruntime']} (one thread), Python "
        f"{device['python']}",
        "ms: median time of a call with host arrays in and out; ratio: TensorRT / ONNX Runtime",
        "",
        f"{'network':<24} {'':<5} {'build s':>8} {'gate':<9} {'batch':>5} {'TensorRT ms':>11} "
        f"{'ONNX Runtime ms':>15} {'ratio':>6}",
    ]
    for row in report["networks"]:
        start = (
            f"{row['network']:<24} {row['precision']:<5} {row.get('build_seconds', '-'):>8} "
            f"{row['gate']:<9}"
        )
        batches = [
            f"{each['batch']:>5} {each['tensorrt_ms']:>11.3f} {each['onnxruntime_ms']:>15.3f} "
            f"{each['ratio']:>6.2f}"
            for each in row.get("batches", ())
        ]
        lines.append(f"{start} {batches[0]}" if batches else start)
        lines += [f"{'':<{len(start)}} {text}" for text in batches[1:]]
        lines += [
            f"    {text}" for text in (*row.get("deviations", ()), row.get("why", "")) if text
        ]
    graph = report["graph"]
    lines += ["", "composed graph, 640x480 at 30 Hz" if graph else "the graph was not run"]
    for name, figure in graph.items():
        if name == "why":
            lines.append(f"    {figure}")
        elif figure.get("time"):
            lines.append(f"    {name}: {1e3 * figure['value']:.2f} ms")
        else:
            lines.append(f"    {name}: {figure['value']:.2f}")
    return "\n".join(lines) + "\n"


def has_failed(report: Mapping[str, Any]) -> bool:
    """Returns True if the graph or a network in FP32 failed. A variant may be refused."""
    return "why" in report["graph"] or any(
        "why" in row and (row["precision"] == "fp32" or row["gate"] != "refused")
        for row in report["networks"]
    )


def write_report(report: Mapping[str, Any], figures: Figures, path: Path) -> None:
    """Writes the report next to each other as ``path`` (JSON, with figures) and as text."""
    for row in report["networks"]:
        for each in row.get("batches", ()):
            name = f"{row['network']} {row['precision']}, batch {each['batch']}"
            figures.add(f"{name}: time / ONNX Runtime", each["ratio"])
    for name, figure in report["graph"].items():
        if name == "why":
            continue
        add = figures.add_time if figure.get("time") else figures.add
        add(f"graph: {name}", figure["value"])
    figures.save(path, report)
    path.with_suffix(".txt").write_text(report_text(report))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all networks")
    parser.add_argument(
        "--precision", nargs="+", choices=("fp32", "fp16", "int8"), default=["fp32", "fp16"]
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="for each network and batch")
    parser.add_argument("--graph-seconds", type=float, default=30.0, help="for each backend")
    parser.add_argument("--no-graph", action="store_true")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results"))
    parser.add_argument("--as-json", action="store_true", help="check one network, print its row")
    options = parser.parse_args()

    try:
        find_gpu()
        tensorrt_version()
    except ModelError as error:
        print(f"gpu-check needs an NVIDIA GPU with TensorRT: {error}.", file=sys.stderr)
        return NO_GPU
    try:
        names = list(chosen_networks(options.names))
    except ModelError as error:
        parser.error(str(error))
    if options.as_json:
        print(json.dumps(check_network(names[0], options.precision[0], options.seconds)))
        return 0
    return check_all(names, options)


def check_all(names: Sequence[str], options: argparse.Namespace) -> int:
    """Checks all networks and the graph, writes the report, and returns the exit code."""
    figures = Figures("gpu_check")
    report: dict[str, Any] = {
        "date": f"{date.today()}",
        "commit": commit() or "unknown",
        "device": device_info(),
        "networks": [],
        "graph": {},
    }
    path = options.output / f"gpu_check-{report['date']}-{report['commit']}.json"
    os.environ["FACE_PERCEPTION_MODELS"] = str(paths.models_dir())
    try:
        with tempfile.TemporaryDirectory(prefix="gpu-check-") as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            for name in names:
                for precision in options.precision:
                    print(f"{name}, {precision} …", file=sys.stderr, flush=True)
                    report["networks"].append(check_apart(name, precision, options.seconds))
            if not options.no_graph:
                report["graph"] = check_graph(options.graph_seconds, Path(cache))
    finally:
        # Also after Ctrl-C: what was measured until then is worth keeping.
        write_report(report, figures, path)
        print(f"{report_text(report)}\nwritten to {path} and {path.with_suffix('.txt')}")
    return FAILED if has_failed(report) else 0


if __name__ == "__main__":
    raise SystemExit(main())
