"""``face-perception import multitask``: students of the multitask CNN -> ``multitask.onnx``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.multitask.export import AVERAGES, CNN_THRESHOLDS, cnn_build
from face_perception.learning.multitask.network import AU, Multitask
from face_perception.learning.torch_checkpoint import (
    checkpoint_files_in,
    load_weights,
    read_checkpoint,
    require_system,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="checkpoints (.pth, .npz), or a folder of them; several make an ensemble",
    )
    parser.add_argument(
        "--average",
        choices=tuple(AVERAGES),
        default="logits",
        help="what an ensemble averages: logits as the published api, or probabilities as the "
        "published evaluation (default: logits)",
    )
    add_thresholds(parser, "those published with the published weights")
    parser.add_argument("--name", default="multitask", help="of the model (default: multitask)")


def add_thresholds(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--thresholds",
        nargs=len(AU),
        type=_probability,
        metavar="P",
        help="probability from which on each of AU "
        f"{', '.join(map(str, AU))} is said to be present (default: {default})",
    )


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    files = [file for path in args.paths for file in checkpoint_files_in(path)]
    students, origins = [], []
    for file in files:
        report(f"reading {file}")
        checkpoint = require_system(read_checkpoint(file), "multitask")
        student = Multitask()
        load_weights(student, checkpoint)
        students.append(student)
        origins.append(checkpoint.origin)
    report("writing ONNX")
    yield cnn_build(
        args.name,
        students,
        ", ".join(origins),
        average=args.average,
        thresholds=args.thresholds or CNN_THRESHOLDS,
    )


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a probability is from 0 to 1, not {text}")
    return value
