"""``face-perception import multitask-rnn``: a CNN-RNN -> its trunk and its network over time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.multitask.checkpoint import add_thresholds
from face_perception.learning.multitask.export import RNN_THRESHOLDS, over_time_build, trunk_build
from face_perception.learning.multitask.network import HEADS, RecurrentMultitask
from face_perception.learning.torch_checkpoint import (
    CheckpointError,
    checkpoint_files_in,
    load_weights,
    read_checkpoint,
    require_system,
)

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
    files = [file for path in args.paths for file in checkpoint_files_in(path)]
    if len(files) > 1:
        raise CheckpointError(
            f"{len(files)} checkpoints ({', '.join(file.name for file in files)}), but each has a "
            "trunk of its own and makes a model of its own: import one at a time, with --name"
        )
    report(f"reading {files[0]}")
    checkpoint = require_system(read_checkpoint(files[0]), "multitask-rnn")
    network = RecurrentMultitask()
    load_weights(network, checkpoint, UNUSED)
    trunk = f"{args.name}_trunk"
    report("writing ONNX of the trunk")
    yield trunk_build(trunk, network, checkpoint.origin)
    report("writing ONNX over time")
    yield over_time_build(
        args.name,
        network,
        checkpoint.origin,
        trunk=trunk,
        window=args.window,
        thresholds=args.thresholds,
    )
