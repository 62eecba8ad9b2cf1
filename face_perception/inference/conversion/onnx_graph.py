"""Builds ONNX graphs node by node. Used only at set-up. Needs onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class Graph:
    """An ONNX graph under construction. Its methods take and return the names of values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """Declares an input float32 [N, *shape]."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]))
        return name

    def output(self, name: str, value: str, shape: tuple[int, ...]) -> None:
        """Declares an output float32 [N, *shape]."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]))

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def indices(self, value: Any) -> str:
        return self.constant(value, np.int64)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output, and returns the name of that output."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def prelu(self, value: str, slope: npt.NDArray[np.float32]) -> str:
        """Adds a ReLU with a slope for negative values, [C, 1, 1], and returns its output.

        ONNX Runtime's own PRelu takes longer than the rest of a network. With slopes up to 1, the
        product before the Relu is quicker than one behind it, and the bits are the same.
        """
        rest = self.constant(1 - slope)
        if (slope <= 1).all():
            kept = self.node("Relu", self.node("Mul", value, rest))
        else:
            kept = self.node("Mul", self.node("Relu", value), rest)
        return self.node("Add", kept, self.node("Mul", value, self.constant(slope)))

    def serialise(self) -> bytes:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="face_perception"
        )
        model.ir_version = IR_VERSION
        data: bytes = model.SerializeToString(deterministic=True)
        return data
