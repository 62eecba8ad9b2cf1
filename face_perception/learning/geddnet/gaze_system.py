"""Makes a gaze model from a TensorFlow checkpoint, for GEDDnet and Dilated-Net."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from face_perception.inference import ModelBuild, ModelError
from face_perception.learning import tensorflow_checkpoint
from face_perception.learning.gaze_build import ORDER, crop_port, gaze_port
from face_perception.learning.geddnet.export import (
    OUTPUT,
    FoldedGEDDnet,
    bias_facts,
    geddnet_onnx,
    input_sizes,
)
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.reference_inputs import sample_inputs
from face_perception.learning.geddnet.tensorflow_variables import VariablesError
from face_perception.learning.import_arguments import add_name
from face_perception.learning.torch_checkpoint import CheckpointError, check_system, system_of

# Largest deviation of the folded graph from the published network, in radians.
_FOLDING = 1e-5


@dataclass(frozen=True, slots=True)
class GazeSystem:
    """A published gaze system whose checkpoints can be imported.

    ``system`` is its name on the command line, ``model`` the default name of the model, and
    ``variables`` the number of its TensorFlow variables. ``task`` and ``licence`` go into the card.
    ``read`` makes the network from the variables by name, and raises VariablesError.
    """

    system: str
    model: str
    variables: int
    task: str
    licence: str
    read: Callable[[Mapping[str, np.ndarray]], GEDDnet]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the arguments of ``face-perception import`` for this system."""
        parser.add_argument(
            "checkpoint",
            type=Path,
            metavar="PATH",
            help="a TensorFlow checkpoint (needs tensorflow), or an .npz file with its "
            f"{self.variables} variables",
        )
        add_name(parser, self.model)
        parser.add_argument(
            "--licence",
            default=self.licence,
            metavar="TEXT",
            help="licence of the weights, for the model card",
        )

    def make(self, args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
        """Yields the model. Raises ModelError that names the file and says what is wrong."""
        report(f"reading {args.checkpoint}")
        variables, origin = tensorflow_checkpoint.read_variables_file(args.checkpoint)
        try:
            check_system(args.checkpoint, system_of(variables), self.system)
        except CheckpointError as error:
            raise ModelError(str(error)) from error
        try:
            network = self.read(variables)
        except VariablesError as error:
            raise ModelError(f"{args.checkpoint}: {error}") from error
        inputs = input_sizes(network)
        samples = {name: crops for name, crops in sample_inputs().items() if name in inputs}
        off = _folding_error(network, [torch.from_numpy(samples[name][::4]) for name in inputs])
        if not off < _FOLDING:
            raise ModelError(
                f"{args.checkpoint}: its gaze changes by {off:.2g} rad when its normalisation is "
                "folded into its layers, because a moving_variance is nearly 0: import a trained "
                "checkpoint"
            )
        report("exporting ONNX")
        yield ModelBuild(
            name=args.name,
            onnx=geddnet_onnx(network),
            task=self.task,
            licence=args.licence or self.licence,
            origin=origin,
            inputs={name: crop_port(name, size) for name, size in inputs.items()},
            outputs={OUTPUT: gaze_port(biased=network.subjects > 0)},
            reference_inputs=samples,
            facts={"system": self.system, "order": ORDER, **bias_facts(network)},
        )


def _folding_error(network: GEDDnet, crops: list[torch.Tensor]) -> float:
    """Returns the largest difference between the exported graph and the network, radians."""
    face = crops[0] if network.has_face else None
    with torch.inference_mode():
        off = (FoldedGEDDnet(network)(*crops) - network.gaze(face, *crops[-2:])).abs().max()
    return float(off)
