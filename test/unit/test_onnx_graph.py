"""Graphs that the converter writes, run by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from face_perception.inference.conversion.onnx_graph import Graph


@pytest.mark.parametrize(
    ("slopes", "kinds"),
    [
        ([-0.5, 0.25, 1.0], ["Mul", "Relu", "Mul", "Add", "Identity"]),
        ([-0.5, 0.25, 2.0], ["Relu", "Mul", "Mul", "Add", "Identity"]),
    ],
)
def test_prelu_of_every_slope(slopes: list[float], kinds: list[str]) -> None:
    """The product comes first where that is right: it is quicker."""
    slope = np.array(slopes, np.float32).reshape(3, 1, 1)
    graph = Graph("prelu")
    graph.output("out", graph.prelu(graph.input("in", (3, 2, 5)), slope), (3, 2, 5))
    data = graph.serialise()
    assert [node.op_type for node in onnx.load_from_string(data).graph.node] == kinds
    value = np.random.default_rng(1).normal(0, 3, (2, 3, 2, 5)).astype(np.float32)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"in": value})
    np.testing.assert_allclose(found, np.where(value > 0, value, slope * value), rtol=1e-6)
