"""``face-perception import geddnet``: the published checkpoint -> the model ``geddnet``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from face_perception.inference import Made, ModelError, Port
from face_perception.networks import tensorflow_checkpoint
from face_perception.networks.geddnet import EYE_SIZE, FACE_SIZE, PER_RADIAN, GEDDnet
from face_perception.networks.geddnet_export import INPUTS, OUTPUT, Folded, export
from face_perception.networks.geddnet_samples import sample_inputs
from face_perception.networks.geddnet_variables import VariablesError, read_variables

# Another backend may be off by this, in radians: 0.6 degrees, an eighth of the published error on
# people it has not seen. FP16 uses a tenth of it; whether INT8 stays below depends on the weights.
TOLERANCE = 0.01

# The folded graph against the network as published, in radians.
_FOLDING = 1e-5

_LICENCE = "none stated: GEDDnet is published without a licence file; ask its authors"

_MEANING = (
    "pitch and yaw in radians, without the person's bias; the vector (sin yaw cos pitch, sin pitch,"
    " cos yaw cos pitch) in the normalised camera (x right, y down, z forward) is minus the gaze's"
    " direction: pitch is positive up, yaw towards the image's left, (0, 0) into the camera"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="PATH",
        help="a TensorFlow checkpoint (needs tensorflow), or an .npz of its 131 variables",
    )
    parser.add_argument("--name", default="geddnet", help="of the model; default: geddnet")
    parser.add_argument(
        "--licence", default=_LICENCE, metavar="TEXT", help="of the weights, for the card"
    )


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[Made]:
    """The one network. Raises ModelError naming the file and what is wrong with it."""
    report(f"reading {args.checkpoint}")
    variables, origin = tensorflow_checkpoint.read(args.checkpoint)
    try:
        network = read_variables(variables)
    except VariablesError as error:
        raise ModelError(f"{args.checkpoint}: {error}") from error
    samples = sample_inputs()
    off = _folding_error(network, [torch.from_numpy(samples[name]) for name in INPUTS])
    if not off < _FOLDING:
        raise ModelError(
            f"{args.checkpoint}: its answers change by {off:.2g} rad when its normalisation is "
            "folded into its layers: a moving_variance must be all but 0, was it trained?"
        )
    report("exporting ONNX")
    yield Made(
        name=args.name,
        onnx=export(network),
        task="gaze of one person from the face and both eyes (GEDDnet)",
        licence=args.licence,
        origin=origin,
        inputs={
            "face": _gray(FACE_SIZE, "face"),
            "left_eye": _gray(EYE_SIZE, "person's left eye"),
            "right_eye": _gray(EYE_SIZE, "person's right eye"),
        },
        outputs={OUTPUT: Port((None, 2), "float32", _MEANING, tolerance=TOLERANCE)},
        captured=samples,
        facts={
            "system": "geddnet",
            "order": ["pitch", "yaw"],
            # What to expect of a person's bias: radians, over those seen in training.
            "bias_deviation": [
                round(float(value), 6)
                for value in network.bias.detach().std(0, unbiased=False) / PER_RADIAN
            ],
            "subjects": network.subjects,
        },
    )


def _gray(size: tuple[int, int], what: str) -> Port:
    meaning = f"the {what} as GEDDnet crops it, gray, histogram equalised, 0 to 255, not mirrored"
    return Port((None, 1, *size), "float32", meaning)


def _folding_error(network: GEDDnet, inputs: list[torch.Tensor]) -> float:
    with torch.inference_mode():
        off = (Folded(network)(*inputs) - network.gaze(*inputs)).abs().max()
    return float(off)
