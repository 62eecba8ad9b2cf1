"""Counts the operations, memory traffic and kernels of a network from its ONNX graph. Needs onnx.

Operations are those of convolutions and matrix products, two for each multiplication. Runtimes fuse
operators that compute each element separately. So a group of these that is connected counts as one
kernel, which reads its inputs and writes its outputs; a single one behind a convolution or product
counts as a part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from face_perception.errors import InputError

_COUNTED = ("Conv", "MatMul", "Gemm")
_BY_ELEMENT = {
    *("Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Floor", "LeakyRelu", "Log", "Max"),
    *("Min", "Mul", "Neg", "Pow", "PRelu", "Reciprocal", "Relu", "Sigmoid", "Softplus", "Sqrt"),
    *("Sub", "Tanh", "Where"),
}
# Operators that only give a tensor another shape or name.
_FREE = {
    *("Constant", "ConstantOfShape", "Dropout", "Expand", "Flatten", "Identity", "Range"),
    *("Reshape", "Shape", "Squeeze", "Unsqueeze"),
}


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

    ``values`` counts the elements of the network's inputs and outputs. ``passes`` are the elements
    that each group of operators by element reads and writes. ``kernels`` is the number of kernels.
    """

    layers: tuple[LayerCost, ...]
    values: float
    passes: tuple[float, ...]
    kernels: int

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
        """Returns the time in seconds if every layer and pass reads and writes memory."""
        layers = sum(
            max(layer.flops / peak, (layer.weights + layer.values) * width / bandwidth)
            for layer in self.layers
        )
        return layers + sum(self.passes) * width / bandwidth


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
    variable = _variable(graph, set(constants))
    groups = _groups_by_element(graph, variable)
    names += [name for group in groups for name in group]
    shapes.update(constants)
    unknown = [n for n in dict.fromkeys(names) if n and (n not in shapes or 0 in shapes[n])]
    shapes.update(_shapes_by_running(network, unknown))
    layers = []
    for node in graph.node:
        if node.op_type in _COUNTED:
            layers.append(_layer(node, shapes, constants))
    ends = [value.name for value in (*graph.input, *graph.output)]
    others = [
        node
        for node in graph.node
        if node.op_type not in _BY_ELEMENT | _FREE and variable & set(node.output)
    ]
    return NetworkCost(
        tuple(layers),
        float(sum(_size(shapes, name) for name in ends)),
        tuple(float(sum(_size(shapes, name) for name in group)) for group in groups),
        len(others) + len(groups),
    )


def _variable(graph: Any, constants: set[str]) -> set[str]:
    """Returns the tensors that depend on the values of the inputs, not only on their shapes."""
    found = {value.name for value in graph.input} - constants
    for node in graph.node:  # in topological order
        if found & set(node.input) and node.op_type != "Shape":
            found |= set(node.output)
    return found


def _groups_by_element(graph: Any, variable: set[str]) -> list[list[str]]:
    """Returns the tensors that each kernel by element reads and writes.

    Leaves out computations on constants, and single operators behind a convolution or product.
    """
    makers = {name: node for node in graph.node for name in node.output}
    nodes = [n for n in graph.node if n.op_type in _BY_ELEMENT and n.output[0] in variable]
    group_of = {node.output[0]: {node.output[0]} for node in nodes}
    for node in nodes:
        for name in node.input:
            if name in group_of and group_of[name] is not group_of[node.output[0]]:
                group_of[name] |= group_of[node.output[0]]
                for member in group_of[name]:
                    group_of[member] = group_of[name]
    users: dict[str, set[str]] = {value.name: {""} for value in graph.output}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.output[0])
    found = []
    for group in {id(one): one for one in group_of.values()}.values():
        inputs = {name for member in group for name in makers[member].input} & variable - group
        if len(group) == 1 and any(
            name in makers and makers[name].op_type in _COUNTED for name in inputs
        ):
            continue
        outputs = {member for member in group if users.get(member, set()) - group}
        found.append(sorted(inputs) + sorted(outputs))
    return found


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
