"""Exports a PyTorch module of more than 2 GB as an ONNX file and a file of weights.

Memory holds the weights only once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from face_perception.learning.onnx_export import BATCH, OPSET, quiet_exporter

# Size in bytes below which a tensor stays in the ONNX file, where shape inference can read it.
_LARGE = 1 << 16
# Alignment of each tensor in the file: a page, so that it can be memory-mapped.
_ALIGNMENT = 4096


@torch.no_grad()
def to_onnx_streamed(
    module: nn.Module,
    example_inputs: Sequence[torch.Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
    data: Path,
) -> bytes:
    """Exports like ``to_onnx``, but writes the weights one by one to the file ``data``.

    Returns the ONNX file, which refers to ``data`` by its name: keep both in one folder. An ONNX
    file alone is limited to 2 GB. Weights of linear layers are written transposed, as they are
    multiplied, so that no runtime has to make a transposed copy.
    """
    file = io.BytesIO()
    names = (*input_names, *output_names)
    was_training = module.training
    module.eval()
    try:
        with quiet_exporter():
            torch.onnx.export(
                module,
                tuple(example_inputs),
                file,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_axes={name: {0: BATCH} for name in names},
                opset_version=OPSET,
                export_params=False,
                do_constant_folding=False,
                dynamo=False,
            )
    finally:
        module.train(was_training)
    model = onnx.load_from_string(file.getvalue())
    graph = model.graph
    values = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    transposed = _drop_transposes(graph, set(values))
    wanted = [value.name for value in graph.input if value.name not in input_names]
    ports = [value for value in graph.input if value.name in input_names]
    del graph.input[:]
    graph.input.extend(ports)
    with open(data, "wb") as out:
        for name in wanted:
            tensor = values[transposed.get(name, name)].detach()
            array = tensor.t() if name in transposed else tensor
            graph.initializer.append(_written(name, array.float().numpy(), out, data.name))
    return bytes(model.SerializeToString())


def _drop_transposes(graph: onnx.GraphProto, parameters: set[str]) -> dict[str, str]:
    """Removes transposes of parameters; returns new name -> name of the transposed parameter."""
    found: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] in parameters:
            found[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input}
    del graph.node[:]
    graph.node.extend(kept)
    inputs = [value for value in graph.input if value.name in used or value.name not in parameters]
    del graph.input[:]
    graph.input.extend(inputs)
    for name in found:
        graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return found


def _written(name: str, array: np.ndarray, out: io.BufferedWriter, file: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=array.shape)
    content = np.ascontiguousarray(array)
    if content.nbytes < _LARGE:
        tensor.raw_data = content.tobytes()
        return tensor
    offset = -(-out.tell() // _ALIGNMENT) * _ALIGNMENT
    out.write(b"\0" * (offset - out.tell()))
    out.write(content.data)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", offset), ("length", content.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
