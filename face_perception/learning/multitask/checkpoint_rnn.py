"""``face-perception import multitask-rnn``: a CNN-RNN -> its trunk and its network over time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.checkpoint_files import (
    CheckpointError,
    checkpoints_in,
    expect,
    load_into,
    read_checkpoint,
)
from face_perception.learning.multitask.checkpoint import add_thresholds
from face_perception.learning.multitask.export import RNN_THRESHOLDS, made_of_trunk, made_over_time
from face_perception.learning.multitask.network import HEADS, RecurrentMultitask

# The last layers of the CNN within, which the recurrent heads replace.
UNUSED = tuple(f"backbone.classifier.{head}.fc_1." for head in range(len(HEADS)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a checkpoint (.pth, .npz)"
    )
    parser.add_argument(
        "--window",
        type=int,
        choices=sorted(RNN_THRESHOLDS),
        default=32,
        help="frames that are seen at once, as the checkpoint was trained (default: 32)",
    )
    add_thresholds(parser, "those published for the window")
    parser.add_argument(
        "--name",
        default="multitask_rnn",
        help="of the model; its trunk is NAME_trunk (default: multitask_rnn)",
    )


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    files = [file for path in args.paths for file in checkpoints_in(path)]
    if len(files) > 1:
        raise CheckpointError(
            f"{len(files)} checkpoints ({', '.join(file.name for file in files)}), but each has a "
            "trunk of its own and makes a model of its own: import one at a time, with --name"
        )
    report(f"reading {files[0]}")
    checkpoint = expect(read_checkpoint(files[0]), "multitask-rnn")
    network = RecurrentMultitask()
    load_into(network, checkpoint, UNUSED)
    trunk = f"{args.name}_trunk"
    report("writing ONNX of the trunk")
    yield made_of_trunk(trunk, network, checkpoint.origin)
    report("writing ONNX over time")
    yield made_over_time(
        args.name,
        network,
        checkpoint.origin,
        trunk=trunk,
        window=args.window,
        thresholds=args.thresholds,
    )
