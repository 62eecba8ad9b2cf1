"""``face-perception models capture|export|quantize|compare|build``: what is made of a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception.commands.network_choice import chosen_networks
from face_perception.commands.number_arguments import positive_integer

if TYPE_CHECKING:
    from face_perception.inference import Variant, VariantReport

# Of `models capture`: enough for the gate, and small enough to come with the package.
_CAPTURED = {"face_mesh": 4, "face_detector": 4, "expression": 8, "blendshapes": 12}
_CAPTURED_OTHERS = 4


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    capture = _action(actions, "capture", _capture, "keep inputs that backends are compared on")
    _add_samples(capture, None)

    quantize = _action(actions, "quantize", _quantize, "make INT8 variants")
    recipes = ("int8-cpu", "int8-trt")
    quantize.add_argument("--recipe", choices=recipes, action="append", help="default: both")
    _add_samples(quantize, 32)

    export = _action(actions, "export", _export, "make the FP16 variant; copy ONNX files out")
    export.add_argument(
        "--precision", choices=("fp32", "fp16", *recipes), default="fp16", help="default: fp16"
    )
    export.add_argument("--output", type=Path, metavar="FOLDER", help="copy the file there")

    compare = _action(actions, "compare", _compare, "FP32 beside FP16 and INT8: deviation, speed")
    compare.add_argument("--seconds", type=float, default=3.0, help="to time each model")

    build = _action(actions, "build", _build, "build TensorRT engines for this machine now")
    build.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Any, text: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all networks")
    parser.set_defaults(run=run)
    return parser


def _add_samples(parser: argparse.ArgumentParser, count: int | None) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--images", type=Path, nargs="+", default=[], metavar="PATH", help="pictures and folders"
    )
    source.add_argument("--inputs", type=Path, metavar="FILE.npz", help="a network's own inputs")
    parser.add_argument(
        "--count", type=positive_integer, default=count, help="how many inputs to take"
    )


def _capture(args: argparse.Namespace) -> int:
    from face_perception.commands.sample_inputs import network_inputs
    from face_perception.inference import write_reference_inputs

    for card in chosen_networks(args.names).values():
        count = args.count or _CAPTURED.get(card.name, _CAPTURED_OTHERS)
        inputs = network_inputs(card, count, args.images, args.inputs)
        write_reference_inputs(card.reference_inputs_path, inputs)
        print(
            f"{card.name}: {len(next(iter(inputs.values())))} inputs in {card.reference_inputs_path}"
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
    for column in ("model", "precision", "kB", "output", "max", "rms", "rms / spread", "of limit"):
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
        "On the reference inputs, by ONNX Runtime on this CPU, one thread. 'of limit' above 1: the "
        "gate keeps it off. 'speed': FP32's time over its own, in turns in this run.",
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
    """Mean and largest distance of a landmark from FP32's, in % of the distance of the irises."""
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
        state = "may serve" if found.within else "is kept off by the gate"
        print(f"{variant.of} {variant.kind}: {found}, {found.relative:.2%} of its spread: {state}")
