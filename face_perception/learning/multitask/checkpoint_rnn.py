"""``face-perception import multitask-rnn``: makes the trunk and the recurrent model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.import_arguments import add_name
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

# Last layers of the contained CNN, which the recurrent heads replace.
UNUSED = tuple(f"backbone.classifier.{head}.fc_1." for head in range(len(HEADS)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``face-perception import multitask-rnn``."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a checkpoint (.pth, .npz)"
    )
    parser.add_argument(
        "--window",
        type=int,
        choices=sorted(RNN_THRESHOLDS),
        default=32,
        help="number of frames of a window, as the checkpoint was trained (default: 32)",
    )
    add_thresholds(parser, "those published for this window")
    add_name(parser, "multitask_rnn", "its trunk is NAME_trunk")


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    """Yields the trunk and the recurrent model. Raises CheckpointError if the file is unusable."""
    files = [file for path in args.paths for file in checkpoint_files_in(path)]
    if len(files) > 1:
        raise CheckpointError(
            f"{len(files)} checkpoints ({', '.join(file.name for file in files)}), but each has "
            "its own trunk and makes its own model: import one at a time, with --name"
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
