"""ONNX files with the inputs and outputs of published gaze and expression networks.

Their trained weights were not available. The backbone is a mean over blocks of pixels, and the
heads have the published form. Their weights are fitted by least squares to the samples of a test,
so that the answers are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper, save

Array = npt.NDArray[np.float64]

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_BLOCKS = 14


def features(pictures: npt.NDArray[np.uint8]) -> Array:
    """Returns what the backbone makes of pictures [K, S, S, 3], RGB: [K, 3 * 14 * 14]."""
    count, size = pictures.shape[:2]
    block = size // _BLOCKS
    x = ((pictures / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    blocks = x.reshape(count, 3, _BLOCKS, block, _BLOCKS, block)
    means: Array = blocks.mean((3, 5)).reshape(count, -1)
    return means


def fitted(pictures: npt.NDArray[np.uint8], answers: Array) -> tuple[Array, Array]:
    """Returns weights [F, A] and bias [A] with ``answers`` [K, A] for the pictures."""
    x = features(pictures)
    middle, x = x.mean(0), x - x.mean(0)
    gram = x @ x.T
    offset = answers.mean(0)
    weights = x.T @ np.linalg.solve(
        gram + 1e-3 * np.trace(gram) / len(x) * np.eye(len(x)), answers - offset
    )
    return weights, offset - middle @ weights


def bins_head(
    weights: Array, bias: Array, *, bins: int, width: float, offset: float
) -> tuple[Array, Array]:
    """Returns weights [F, bins] and bias of logits whose softmax has the mean ``weights`` fits.

    The angle is in degrees. The logits -(k - m)^2 / 2 of bin k have the mean m; their part in m^2
    is the same for all bins.
    """
    k = np.arange(bins)
    slope, shift = weights[:, 0] / width, (bias[0] - offset) / width
    return slope[:, None] * k, shift * k - k**2 / 2


def write(
    file: Path,
    size: int,
    heads: Mapping[str, tuple[Array, Array]],
    *,
    batch: bool = True,
    input_name: str = "input",
) -> Path:
    """Writes a network for pictures of ``size`` with a linear head for each output.

    Without ``batch`` it takes one face, and sizes are constants in the graph, as the exporter of
    PyTorch writes them.
    """
    block = size // _BLOCKS
    width = 3 * _BLOCKS * _BLOCKS
    nodes: list[Any] = [
        helper.make_node(
            "AveragePool",
            [input_name],
            ["pooled"],
            kernel_shape=[block, block],
            strides=[block, block],
        ),
        helper.make_node("Reshape", ["pooled", "flat_shape"], ["flat"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([-1 if batch else 1, width], np.int64), "flat_shape")
    ]
    outputs = []
    count: Sequence[Any] = ["N"] if batch else [1]
    for name, (weights, bias) in heads.items():
        for suffix, value in (("weight", weights), ("bias", bias)):
            constants.append(numpy_helper.from_array(value.astype(np.float32), f"{name}.{suffix}"))
        nodes.append(helper.make_node("Gemm", ["flat", f"{name}.weight", f"{name}.bias"], [name]))
        shape = [*count, weights.shape[1]]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    inputs = [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [*count, 3, size, size])]
    graph = helper.make_graph(nodes, "published", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, str(file))
    return file
