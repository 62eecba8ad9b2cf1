"""``face-perception models``: makes variants, TensorRT engines and reference inputs of a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception.commands.network_choice import add_network_names, chosen_networks
from face_perception.commands.number_arguments import positive_integer
from face_perception.commands.subcommands import add_command

if TYPE_CHECKING:
    from face_perception.inference import Variant, VariantReport

# Number of reference inputs: enough for the gate, and small enough to ship with the package.
_REFERENCE_INPUTS = {"face_mesh": 4, "face_detector": 4, "expression": 8, "blendshapes": 12}
_DEFAULT_REFERENCE_INPUTS = 4


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    capture = _action(
        actions,
        "capture",
        _capture,
        "Save reference inputs, on which the accuracy gate compares backends and precisions.",
    )
    _add_samples(capture, None)

    quantize = _action(actions, "quantize", _quantize, "Make INT8 variants of networks.")
    recipes = ("int8-cpu", "int8-trt")
    quantize.add_argument(
        "--recipe",
        choices=recipes,
        action="append",
        help="for ONNX Runtime (int8-cpu) or TensorRT (int8-trt); default: both",
    )
    _add_samples(quantize, 32)

    export = _action(actions, "export", _export, "Make FP16 variants, and copy ONNX files.")
    export.add_argument(
        "--precision",
        choices=("fp32", "fp16", *recipes),
        default="fp16",
        help="precision of the file; default: fp16",
    )
    export.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder to copy the ONNX file to",
    )

    compare = _action(
        actions, "compare", _compare, "Compare FP16 and INT8 with FP32 in accuracy and speed."
    )
    compare.add_argument(
        "--seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="time spent on each network; default: %(default)s",
    )

    build = _action(
        actions, "build", _build, "Build the TensorRT engines of networks for this machine."
    )
    build.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="precision of the engines; default: %(default)s",
    )


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Any, text: str
) -> argparse.ArgumentParser:
    parser = add_command(actions, name, text)
    add_network_names(parser)
    parser.set_defaults(run=run)
    return parser


def _add_samples(parser: argparse.ArgumentParser, count: int | None) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="pictures, or folders of pictures; default: the sample photographs",
    )
    source.add_argument(
        "--inputs",
        type=Path,
        metavar="FILE.npz",
        help="file with an array for each input of the network, first axis: samples",
    )
    parser.add_argument(
        "--count",
        type=positive_integer,
        default=count,
        metavar="N",
        help="number of samples; default: " + ("4 to 12" if count is None else str(count)),
    )


def _capture(args: argparse.Namespace) -> int:
    from face_perception.commands.sample_inputs import network_inputs
    from face_perception.inference import write_reference_inputs

    for card in chosen_networks(args.names).values():
        count = args.count or _REFERENCE_INPUTS.get(card.name, _DEFAULT_REFERENCE_INPUTS)
        inputs = network_inputs(card, count, args.images, args.inputs)
        write_reference_inputs(card.reference_inputs_path, inputs)
        print(
            f"{card.name}: {len(next(iter(inputs.values())))} inputs, saved to "
            f"{card.reference_inputs_path}"
        )
    return 0


def _quantize(args: argparse.Namespace) -> int:
    from face_perception.commands.sample_inputs import network_inputs
    from face_perception.inference import make_variant

    for name, card in chosen_networks(args.names).items():
        samples = network_inputs(card, args.count, args.images, args.inputs)
        for recipe in args.recipe or ("int8-cpu", "int8-trt"):
            _print_variant(make_variant(name, recipe, samples))
    return 0


def _export(args: argparse.Namespace) -> int:
    from face_perception.inference import export_onnx_file, make_variant

    for name in chosen_networks(args.names):
        if args.precision == "fp16":
            _print_variant(make_variant(name, "fp16"))
        if args.output:
            kind = "" if args.precision == "fp32" else args.precision
            print(export_onnx_file(name, kind, args.output))
    return 0


def _compare(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from face_perception.commands.sample_inputs import network_inputs
    from face_perception.inference import (
        VARIANTS,
        ModelError,
        compare_variants,
        make_variant,
        read_variant,
    )

    table = Table(box=None, pad_edge=False)
    for column in (
        "model",
        "precision",
        "kB",
        "output",
        "max",
        "rms",
        "rms / spread",
        "of tolerance",
    ):
        table.add_column(column, justify="left" if column in ("model", "output") else "right")
    table.add_column("% of eye distance", justify="right")
    table.add_column("speed", justify="right")
    for name, card in chosen_networks(args.names).items():
        for kind in VARIANTS:
            try:
                read_variant(name, kind)
            except ModelError:
                samples = None if kind == "fp16" else network_inputs(card, 32)
                make_variant(name, kind, samples)
        reports = compare_variants(name, VARIANTS, seconds=args.seconds)
        for report in reports:
            _add_rows(table, card.name, report, reports[0])
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(
        "Measured on the reference inputs with ONNX Runtime on this CPU, one thread. The gate "
        "refuses a variant whose 'of tolerance' is above 1. 'speed' is FP32's time divided by the "
        "variant's.",
        highlight=False,
    )
    return 0


def _add_rows(table: Any, name: str, report: VariantReport, fp32: VariantReport) -> None:
    speed = f"{report.speed:.2f} x"
    if report is fp32:
        table.add_row(name, "fp32", f"{report.size // 1000}", *[""] * 6, speed)
        return
    for number, found in enumerate(report.deviations):
        first = number == 0
        table.add_row(
            "",
            report.kind if first else "",
            f"{report.size // 1000}" if first else "",
            found.output,
            f"{found.largest:.3g}",
            f"{found.rms:.3g}",
            f"{found.relative:.4f}",
            f"{found.used:.2f}",
            _of_eye_distance(found.output, report, fp32),
            speed if first else "",
        )


def _of_eye_distance(output: str, report: VariantReport, fp32: VariantReport) -> str:
    """Returns mean and largest distance of the landmarks from FP32's, in % of the iris distance."""
    if output != "landmarks":
        return ""
    import numpy as np

    from face_perception.faces import LEFT_IRIS_CENTRE, RIGHT_IRIS_CENTRE

    wanted, got = fp32.outputs[output][..., :2], report.outputs[output][..., :2]
    eyes = np.linalg.norm(wanted[:, LEFT_IRIS_CENTRE] - wanted[:, RIGHT_IRIS_CENTRE], axis=-1)
    off = 100 * np.linalg.norm(got - wanted, axis=-1) / eyes[:, None]
    return f"mean {off.mean():.3f} max {off.max():.2f}"


def _build(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from face_perception.inference import build_tensorrt_engine

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[step]}"))
    for name, card in chosen_networks(args.names).items():
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(card.name, total=1.0, step="")

            def report(
                name: str, step: str, share: float, bar: Any = bar, task: Any = task
            ) -> None:
                bar.update(task, completed=share, step=step)

            path = build_tensorrt_engine(name, args.precision, report)
        print(f"{card.name}: {path}")
    return 0


def _print_variant(variant: Variant) -> None:
    for found in variant.deviations:
        state = "accepted" if found.within else "refused by the gate"
        print(f"{variant.of} {variant.kind}: {found}, {found.relative:.2%} of its spread: {state}")
