"""Counts the operations and the memory traffic of a network from its ONNX graph. Needs onnx.

Counts convolutions and matrix products, with two operations per multiplication. Runtimes fuse the
other operators into these, so they are not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from face_perception.errors import InputError

_COUNTED = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True, slots=True)
class LayerCost:
    """Cost of one convolution or matrix product at one batch size.

    ``flops`` is the number of floating-point operations. ``weights`` and ``values`` are the numbers
    of elements (not bytes) in its weights, and in its input and output tensors.
    """

    flops: float
    weights: float
    values: float


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """Cost of a network at one batch size.

    ``values`` counts the elements of the network's inputs and outputs.
    """

    layers: tuple[LayerCost, ...]
    values: float

    @property
    def flops(self) -> float:
        return sum(layer.flops for layer in self.layers)

    @property
    def weights(self) -> float:
        return sum(layer.weights for layer in self.layers)

    def minimum_seconds(self, peak: float, bandwidth: float, width: float) -> float:
        """Returns the shortest possible time of a call, in seconds.

        ``peak`` is the device's operations per second, ``bandwidth`` its memory bandwidth in bytes
        per second, ``width`` the size of an element in bytes. Assumes that weights, inputs and
        outputs are moved once, and that all other values stay on the chip.
        """
        return max(self.flops / peak, (self.weights + self.values) * width / bandwidth)

    def layered_seconds(self, peak: float, bandwidth: float, width: float) -> float:
        """Returns the time in seconds if every layer reads and writes memory."""
        return sum(
            max(layer.flops / peak, (layer.weights + layer.values) * width / bandwidth)
            for layer in self.layers
        )


def network_cost(model: bytes, batch: int = 1) -> NetworkCost:
    """Returns the cost of an ONNX model at a batch size.

    Raises InputError if the shape of a counted tensor cannot be inferred.
    """
    network = onnx.load_from_string(model)
    for value in network.graph.input:
        first = value.type.tensor_type.shape.dim[0]
        if not first.HasField("dim_value"):
            first.dim_value = batch
    graph = onnx.shape_inference.infer_shapes(network, data_prop=True).graph
    shapes = {
        value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)
    }
    names = [
        name
        for node in graph.node
        if node.op_type in _COUNTED
        for name in (*node.input, *node.output)
    ]
    names += [value.name for value in graph.output]
    constants = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes.update(constants)
    unknown = [n for n in dict.fromkeys(names) if n and (n not in shapes or 0 in shapes[n])]
    shapes.update(_shapes_by_running(network, unknown))
    layers = []
    for node in graph.node:
        if node.op_type in _COUNTED:
            layers.append(_layer(node, shapes, constants))
    ends = [value.name for value in (*graph.input, *graph.output)]
    return NetworkCost(tuple(layers), float(sum(_size(shapes, name) for name in ends)))


def _shapes_by_running(network: Any, names: list[str]) -> dict[str, list[int]]:
    """Returns the shapes of tensors that shape inference cannot find, from one run on zeros.

    Returns no shapes if the network cannot run.
    """
    if not names:
        return {}
    import onnxruntime  # imported here because most networks do not need it

    known = {value.name for value in network.graph.output}
    for name in names:
        if name not in known:
            network.graph.output.append(onnx.ValueInfoProto(name=name))
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    try:
        session = onnxruntime.InferenceSession(
            network.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        zeros = {v.name: np.zeros(v.shape, types[v.type]) for v in session.get_inputs()}
        values = session.run(names, zeros)
    except Exception:  # ONNX Runtime's own exceptions have no common base
        return {}
    return {name: list(value.shape) for name, value in zip(names, values, strict=True)}


def _layer(node: Any, shapes: dict[str, list[int]], constants: dict[str, list[int]]) -> LayerCost:
    output = _size(shapes, node.output[0])
    if node.op_type == "Conv":
        # Weights are [out, in / groups, kernel...]: the multiplications per output element.
        products = math.prod(shapes[node.input[1]][1:])
    else:
        left = shapes[node.input[0]]
        transposed = node.op_type == "Gemm" and any(
            a.name == "transA" and a.i for a in node.attribute
        )
        products = left[0] if transposed else left[-1]
    weights = sum(_size(constants, name) for name in node.input if name in constants)
    inputs = sum(_size(shapes, name) for name in node.input if name and name not in constants)
    return LayerCost(2.0 * output * products, float(weights), float(inputs + output))


def _shape(value: Any) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _size(shapes: dict[str, list[int]], name: str) -> int:
    shape = shapes.get(name)
    if shape is None or 0 in shape:
        raise InputError(
            f"the shape of {name} is unknown, so its cost cannot be counted: export the model with "
            "fixed shapes"
        )
    return math.prod(shape)
