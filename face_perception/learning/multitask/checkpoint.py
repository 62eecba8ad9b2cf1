"""``face-perception import multitask``: makes a model from one or several multitask CNNs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.import_arguments import add_name
from face_perception.learning.multitask.export import AVERAGES, CNN_THRESHOLDS, cnn_build
from face_perception.learning.multitask.network import AU, Multitask
from face_perception.learning.torch_checkpoint import (
    checkpoint_files_in,
    load_weights,
    read_checkpoint,
    require_system,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``face-perception import multitask``."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="checkpoints (.pth, .npz), or a folder with checkpoints; several form an ensemble",
    )
    parser.add_argument(
        "--average",
        choices=tuple(AVERAGES),
        default="logits",
        help="what an ensemble averages: logits, as the published API does, or probabilities, as "
        "the published evaluation does (default: logits)",
    )
    add_thresholds(parser, "those published with the weights")
    add_name(parser, "multitask")


def add_thresholds(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds ``--thresholds``; ``default`` says in words which thresholds are used without it."""
    parser.add_argument(
        "--thresholds",
        nargs=len(AU),
        type=_probability,
        metavar="P",
        help="probability at which each of AU "
        f"{', '.join(map(str, AU))} is reported as present (default: {default})",
    )


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    """Yields the model. Raises CheckpointError if a file is unusable."""
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
        raise argparse.ArgumentTypeError(f"a probability must be from 0 to 1, not {text}")
    return value
