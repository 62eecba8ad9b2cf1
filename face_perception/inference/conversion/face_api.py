"""Builds the expression network of face-api as an ONNX graph. Used only at set-up. Needs onnx.

The network, from its published code (``@vladmandic/face-api`` 1.7.15, ``faceFeatureExtractor``):
four blocks of four 3x3 convolutions, each block at half the size of the one before. All
convolutions but the first are separable: a 3x3 filter for each channel, then a 1x1 mix of channels.
Inside a block each convolution sees the sum of the previous outputs. The mean over the remaining
7x7 positions goes into one linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.inference.models.cards import ModelError
from face_perception.outside_files import one_error, parse_arrays

Array = npt.NDArray[np.float32]

SIDE = 112  # pixels of the input
_BLOCKS = 4
_LAYERS = 4
# Means of red, green and blue, subtracted before the division by 255.
_MEAN = (122.782, 117.001, 104.298)
_SCALE = 1 / 255


def read_weights(data: bytes) -> dict[str, Array]:
    """Returns the float32 tensors, by name, of a file that ``tools/expression_weights.py`` wrote.

    ``data`` is an .npz file, in which a uint8 tensor NAME has a companion ``NAME:range`` with scale
    and minimum. Raises ModelError for any other file.
    """
    with one_error("the file of the expression network", "fetch it again", ModelError):
        stored = parse_arrays(data)
        tensors = {}
        for name, value in stored.items():
            if name.endswith(":range"):
                continue
            if value.dtype == np.uint8:
                scale, least = stored[f"{name}:range"]
                value = value * scale + least
            tensors[name] = value.astype(np.float32)
    return tensors


class ExpressionGraph:
    """Adds the network to a graph, computed from ``image`` [N, 112, 112, 3], RGB in 0 to 255.

    ``features`` is the value [N, 256] that goes into the linear layer. ``weights`` are from
    ``read_weights``. Raises ModelError if one is missing.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Array], image: str) -> None:
        self._graph = graph
        self._weights = weights
        # The mean cannot be folded into the convolution, because that pads with zeros after the
        # subtraction. Transpose first: with channels last, the subtraction takes a sixth of the
        # network's time.
        first = graph.node("Transpose", image, perm=[0, 3, 1, 2])
        value = graph.node("Sub", first, graph.constant(np.reshape(_MEAN, (3, 1, 1))))
        for block in range(_BLOCKS):
            value = self._block(block, value)
        pooled = graph.node("GlobalAveragePool", value)
        self.features = graph.node("Flatten", pooled, axis=1)

    def logits(self, weight: Array, bias: Array) -> str:
        """Adds a linear layer on the features and returns its output [N, K].

        ``weight`` is [256, K], ``bias`` [K].
        """
        constant = self._graph.constant
        return self._graph.node("Gemm", self.features, constant(weight), constant(bias))

    def tensor(self, name: str) -> Array:
        """Returns a weight tensor by its name. Raises ModelError if it is missing."""
        if name not in self._weights:
            raise ModelError(f"the weights of the expression network lack {name}")
        return self._weights[name]

    def _block(self, block: int, value: str) -> str:
        total = self._graph.node("Relu", self._convolution(block, 0, value, stride=2))
        seen = total
        for layer in range(1, _LAYERS):
            total = self._graph.node("Add", total, self._convolution(block, layer, seen, stride=1))
            seen = self._graph.node("Relu", total)
        return seen

    def _convolution(self, block: int, layer: int, value: str, stride: int) -> str:
        name = f"dense{block}/conv{layer}"
        # TensorFlow's SAME padding: with stride 2 and an even size, it pads one row at the end.
        attributes = {"strides": [stride, stride], "pads": [0, 0, 1, 1] if stride == 2 else [1] * 4}
        constant = self._graph.constant
        bias = constant(self.tensor(f"{name}/bias"))
        if block == layer == 0:
            filters = self.tensor(f"{name}/filters").transpose(3, 2, 0, 1) * np.float32(_SCALE)
            return self._graph.node("Conv", value, constant(filters), bias, **attributes)
        depthwise = self.tensor(f"{name}/depthwise_filter").transpose(2, 3, 0, 1)
        pointwise = self.tensor(f"{name}/pointwise_filter").transpose(3, 2, 0, 1)
        channels = len(depthwise)
        value = self._graph.node("Conv", value, constant(depthwise), group=channels, **attributes)
        return self._graph.node("Conv", value, constant(pointwise), bias)
