"""``face-perception import lr_asd``: makes the model ``lr_asd`` from a published checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.import_arguments import add_name
from face_perception.learning.lr_asd.export import CROPS, lr_asd_build
from face_perception.learning.lr_asd.network import LRASD
from face_perception.learning.torch_checkpoint import load_weights, read_checkpoint, require_system

LICENCE = (
    "MIT (code and weights are published together); the films that they were trained on (AVA, "
    "TalkSet) have their own terms"
)
# The decision from pictures alone, which only training uses.
UNUSED = ("lossV.",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``face-perception import lr_asd``."""
    parser.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="the checkpoint (pretrain_AVA.model, finetuning_TalkSet.model, or .npz)",
    )
    parser.add_argument(
        "--crop",
        choices=tuple(CROPS),
        default="",
        help="the part of the face that the weights were trained on: face, as pretrain_AVA.model, "
        "or lower_face, as finetuning_TalkSet.model (default: lower_face if the name of the file "
        "has TalkSet in it, else face)",
    )
    add_name(parser, "lr_asd")


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    """Yields the model. Raises CheckpointError if the file is missing or unusable."""
    report(f"reading {args.path}")
    checkpoint = require_system(read_checkpoint(args.path), "lr_asd")
    network = LRASD()
    load_weights(network, checkpoint, UNUSED)
    crop = args.crop or ("lower_face" if "talkset" in args.path.name.lower() else "face")
    report(f"writing ONNX of {args.name}, which sees the {crop.replace('_', ' ')}")
    yield lr_asd_build(args.name, network, checkpoint.origin, LICENCE, crop=crop)
