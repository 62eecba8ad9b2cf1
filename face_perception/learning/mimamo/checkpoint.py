"""``face-perception import mimamo``: makes the models of MIMAMO-Net from its two checkpoints.

They are the appearance network, the two-stream network with either recurrence, and the recurrence
over time in two parts, for streams.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.inference import ModelBuild
from face_perception.learning.import_arguments import add_name
from face_perception.learning.mimamo.export import appearance_build, features_by, two_stream_build
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.mimamo.stream_export import stream_builds
from face_perception.learning.resnet50_ferplus import CLASSES, ResNet50FERPlus
from face_perception.learning.torch_checkpoint import (
    Checkpoint,
    CheckpointError,
    checkpoint_files_in,
    load_weights,
    read_checkpoint,
    require_system,
)

# Published layers that are not run: classifier of the phase network, and classes of FER+.
UNUSED = ("phasenet.classifier.",)
UNUSED_APPEARANCE = ("classifier.",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``face-perception import mimamo``."""
    parser.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="the two-stream checkpoint (model_weights.pth.tar, .npz), or a folder with both",
    )
    parser.add_argument(
        "--appearance",
        type=Path,
        metavar="PATH",
        help="the ResNet-50 of FER+ (resnet50_ferplus_dag.pth, .npz)",
    )
    add_name(parser, "mimamo", "others are NAME_released and NAME_appearance")


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    """Yields the models. Raises CheckpointError if a file is missing or unusable."""
    two_stream, resnet = _both(args.path, args.appearance, report)
    trunk = ResNet50FERPlus(CLASSES)
    load_weights(trunk, resnet, UNUSED_APPEARANCE)
    over_time, released = TwoStream("time"), TwoStream("clips")
    for network in (over_time, released):
        load_weights(network, two_stream, UNUSED)
    appearance = f"{args.name}_appearance"
    report(f"writing ONNX of {appearance}")
    yield appearance_build(appearance, trunk, resnet.origin)
    for name, network in ((args.name, over_time), (f"{args.name}_released", released)):
        report(f"writing ONNX of {name}")
        made = two_stream_build(
            name, network, two_stream.origin, appearance=appearance, trunk=features_by(trunk)
        )
        yield from stream_builds(made, network) if network is over_time else (made,)


def _both(
    path: Path, appearance: Path | None, report: Callable[[str], None]
) -> tuple[Checkpoint, Checkpoint]:
    """Returns the checkpoints of the two-stream network and of the trunk."""
    found: dict[str, Checkpoint] = {}
    files = checkpoint_files_in(path)
    for file in files:
        report(f"reading {file}")
        checkpoint = read_checkpoint(file)
        if len(files) == 1:
            require_system(checkpoint, "mimamo")
        if checkpoint.system in found:
            raise CheckpointError(
                f"{found[checkpoint.system].path} and {file} are of the same kind: name one of "
                "them, and the other network with --appearance"
            )
        found[checkpoint.system] = checkpoint
    if appearance is not None:
        report(f"reading {appearance}")
        found["resnet50_ferplus"] = require_system(read_checkpoint(appearance), "resnet50_ferplus")
    if "mimamo" not in found and len(files) > 1:
        raise CheckpointError(f"{path} has no two-stream checkpoint in it")
    if "resnet50_ferplus" not in found and "mimamo" not in found:
        load_weights(
            TwoStream("time"), found[""], UNUSED
        )  # raises an error that lists what does not fit
    if "resnet50_ferplus" not in found:
        raise CheckpointError(
            f"{path} is only the two-stream network: give the ResNet-50 of FER+ too, with "
            "--appearance resnet50_ferplus_dag.pth"
        )
    # A checkpoint of an unknown system is returned, so that loading it says what does not fit.
    return found.get("mimamo") or found[""], found["resnet50_ferplus"]
