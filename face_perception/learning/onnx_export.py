"""Exports a PyTorch module as an ONNX file that ONNX Runtime and TensorRT both read."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from face_perception.errors import InputError

# Supported by ONNX Runtime 1.17, TensorRT 8.6, and later versions.
OPSET = 17

BATCH = "N"


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Suppresses warnings of the exporter that do not apply to our networks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about the exporter itself
        # All sizes but the batch become constants, which is intended.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding")
        # Applies to recurrent layers with an implicit initial state; ours get it as an input.
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size")
        yield


def to_onnx(
    module: nn.Module,
    example_inputs: Sequence[torch.Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """Traces a module in inference mode on example inputs and returns the ONNX file.

    Axis 0 of every input and output is the batch, of any size, named N. ``dynamic_axes`` (port name
    -> axis -> name) replaces this. Use example inputs with a batch of 2 or more, so that tracing
    keeps a broadcast over the batch. The training mode of the module and its parts is restored.

    Uses the TorchScript exporter, which needs no onnxscript and whose graphs were tested with both
    runtimes. Raises InputError if the numbers of names and tensors differ, and what torch raises
    for an operation that ONNX does not have.
    """
    if len(example_inputs) != len(input_names):
        raise InputError(
            f"{len(example_inputs)} example inputs, but {len(input_names)} input names: "
            f"{', '.join(input_names)}"
        )
    axes = dynamic_axes or {name: {0: BATCH} for name in (*input_names, *output_names)}
    file = io.BytesIO()
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), quiet_exporter():
            torch.onnx.export(
                module,
                tuple(example_inputs),
                file,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_axes={name: dict(by_axis) for name, by_axis in axes.items()},
                opset_version=OPSET,
                do_constant_folding=True,
                dynamo=False,
            )
    finally:
        for part, training in modes.items():
            part.training = training
    return file.getvalue()
