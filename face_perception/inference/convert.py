"""TFLite to ONNX, for the operators that the default models have. Only at set-up.

Channels come first inside the graph, the interface stays as in the file; batches of any size. What
the operators do is stated by TensorFlow Lite's reference kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from face_perception.inference import mediapipe
from face_perception.inference.graph import Graph
from face_perception.inference.tflite import Operator, TFLiteModel

Array = npt.NDArray[Any]


class Conversion:
    """Adds a TFLite file's operators to a graph, computed from ``image`` [N, H, W, C].

    ``output(k)`` is the k-th output in the file's own layout. Raises UnsupportedModel for an
    operator or an option that is not known.
    """

    def __init__(self, graph: Graph, source: TFLiteModel, image: str) -> None:
        self._graph = graph
        self._source = source
        # Tensors by number: channels first, as in the file, or both.
        self._first: dict[int, str] = {}
        self._last: dict[int, str] = {source.inputs[0]: image}
        self._padding: dict[int, tuple[int, int, int, int]] = {}
        # Affine maps, which the file has as [N, 4, 4] and the graph as [N, 3, 2].
        self._matrices: set[int] = set()
        for operator in source.operators:
            convert = getattr(self, f"_op_{operator.kind.lower()}", None)
            if convert is None:
                raise source.unsupported(f"operator {operator.kind}")
            convert(operator)

    def output(self, k: int) -> str:
        return self._as_stored(self._source.outputs[k])

    # Values and layouts.

    def _channels_first(self, tensor: int) -> str:
        if tensor in self._padding:
            raise self._source.unsupported("padding before anything but a convolution")
        if tensor not in self._first:
            if tensor not in self._last:
                raise self._source.unsupported(f"tensor {tensor}, which is constant,")
            value = self._last[tensor]
            self._first[tensor] = self._graph.node("Transpose", value, perm=[0, 3, 1, 2])
        return self._first[tensor]

    def _as_stored(self, tensor: int) -> str:
        if tensor not in self._last:
            value = self._channels_first(tensor)
            self._last[tensor] = self._graph.node("Transpose", value, perm=[0, 2, 3, 1])
        return self._last[tensor]

    def _constant(self, tensor: int) -> Array:
        if tensor not in self._source.constants:
            raise self._source.unsupported(f"tensor {tensor}, which should be constant but is not,")
        return self._source.constants[tensor]

    def _activated(self, value: str, function: int) -> str:
        if function == tflite.ActivationFunctionType.NONE:
            return value
        if function == tflite.ActivationFunctionType.RELU:
            return self._graph.node("Relu", value)
        raise self._source.unsupported(f"fused activation {function}")

    # Operators, one method each, named after the schema.

    def _op_conv_2d(self, operator: Operator) -> None:
        weights = self._constant(operator.inputs[1]).transpose(0, 3, 1, 2)
        self._convolve(operator, weights, groups=1)

    def _op_depthwise_conv_2d(self, operator: Operator) -> None:
        if operator.options.DepthMultiplier() != 1:
            raise self._source.unsupported("a depth multiplier")
        weights = self._constant(operator.inputs[1]).transpose(3, 0, 1, 2)
        self._convolve(operator, weights, groups=weights.shape[0])

    def _convolve(self, operator: Operator, weights: Array, groups: int) -> None:
        options = operator.options
        if (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            raise self._source.unsupported("a dilated convolution")
        tensor = operator.inputs[0]
        pads = self._pads(operator, weights.shape[2], weights.shape[3])
        if tensor in self._padding:
            pads = tuple(a + b for a, b in zip(pads, self._padding[tensor], strict=True))
            value = self._first[tensor]
        else:
            value = self._channels_first(tensor)
        result = self._graph.node(
            "Conv",
            value,
            self._graph.constant(weights),
            self._graph.constant(self._constant(operator.inputs[2])),
            group=groups,
            pads=pads,
            strides=[options.StrideH(), options.StrideW()],
        )
        self._first[operator.outputs[0]] = self._activated(
            result, options.FusedActivationFunction()
        )

    def _pads(self, operator: Operator, height: int, width: int) -> tuple[int, ...]:
        """Top, left, bottom, right; TensorFlow's SAME puts the odd one at the end."""
        options = operator.options
        if options.Padding() == tflite.Padding.VALID:
            return (0, 0, 0, 0)
        _, rows, columns, _ = self._source.shapes[operator.inputs[0]]
        _, out_rows, out_columns, _ = self._source.shapes[operator.outputs[0]]
        vertical = max((out_rows - 1) * options.StrideH() + height - rows, 0)
        horizontal = max((out_columns - 1) * options.StrideW() + width - columns, 0)
        top, left = vertical // 2, horizontal // 2
        return (top, left, vertical - top, horizontal - left)

    def _op_max_pool_2d(self, operator: Operator) -> None:
        options = operator.options
        window = [options.FilterHeight(), options.FilterWidth()]
        result = self._graph.node(
            "MaxPool",
            self._channels_first(operator.inputs[0]),
            kernel_shape=window,
            pads=self._pads(operator, *window),
            strides=[options.StrideH(), options.StrideW()],
        )
        self._first[operator.outputs[0]] = self._activated(
            result, options.FusedActivationFunction()
        )

    def _op_pad(self, operator: Operator) -> None:
        before, after = self._constant(operator.inputs[1]).T.tolist()
        value = self._channels_first(operator.inputs[0])
        output = operator.outputs[0]
        if before[0] or after[0]:
            raise self._source.unsupported("padding of the batch")
        if before[3] or after[3]:
            channels = self._source.shapes[operator.inputs[0]][3]
            if (before[3], after[3]) != (0, channels):
                raise self._source.unsupported("channel padding that does not double them")
            # Neither Pad nor a scalar factor, for which ONNX Runtime would leave its blocked layout
            # (10 % of the mesh's time).
            zero = self._graph.constant(np.zeros((channels, 1, 1)))
            zeros = self._graph.node("Mul", value, zero)
            self._first[output] = self._graph.node("Concat", value, zeros, axis=1)
        else:
            # Left to the convolution that follows.
            self._first[output] = value
            self._padding[output] = (before[1], before[2], after[1], after[2])

    def _op_prelu(self, operator: Operator) -> None:
        # ONNX Runtime's own PRelu takes longer than all the rest of the network; a product with
        # [C, 1, 1] is a convolution to it.
        slope = self._constant(operator.inputs[1]).reshape(-1, 1, 1)
        value = self._channels_first(operator.inputs[0])
        positive = self._graph.node("Relu", value)
        kept = self._graph.node("Mul", positive, self._graph.constant(1 - slope))
        scaled = self._graph.node("Mul", value, self._graph.constant(slope))
        self._first[operator.outputs[0]] = self._graph.node("Add", kept, scaled)

    def _op_add(self, operator: Operator) -> None:
        a, b = (self._channels_first(i) for i in operator.inputs)
        self._first[operator.outputs[0]] = self._activated(
            self._graph.node("Add", a, b), operator.options.FusedActivationFunction()
        )

    def _op_mul(self, operator: Operator) -> None:
        tensor, factor = operator.inputs
        value = self._constant(factor)
        if tensor in self._matrices:
            value = value[:, :2, [0, 1, 3]].transpose(0, 2, 1)
            self._matrices.add(operator.outputs[0])
        self._last[operator.outputs[0]] = self._activated(
            self._graph.node("Mul", self._as_stored(tensor), self._graph.constant(value)),
            operator.options.FusedActivationFunction(),
        )

    def _op_reshape(self, operator: Operator) -> None:
        shape = [0, *self._source.shapes[operator.outputs[0]][1:]]
        value = self._as_stored(operator.inputs[0])
        self._last[operator.outputs[0]] = self._graph.node(
            "Reshape", value, self._graph.indices(shape)
        )

    def _op_strided_slice(self, operator: Operator) -> None:
        tensor, output = operator.inputs[0], operator.outputs[0]
        if self._source.shapes[tensor] != self._source.shapes[output]:
            raise self._source.unsupported("a slice that takes a part")
        self._last[output] = self._as_stored(tensor)

    def _op_resize_bilinear(self, operator: Operator) -> None:
        if operator.options.AlignCorners() or not operator.options.HalfPixelCenters():
            raise self._source.unsupported("bilinear resizing without half-pixel centres")
        before = self._source.shapes[operator.inputs[0]]
        after = self._source.shapes[operator.outputs[0]]
        self._first[operator.outputs[0]] = self._graph.node(
            "Resize",
            self._channels_first(operator.inputs[0]),
            "",
            self._graph.constant([1, 1, after[1] / before[1], after[2] / before[2]]),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _op_depth_to_space(self, operator: Operator) -> None:
        self._first[operator.outputs[0]] = self._graph.node(
            "DepthToSpace",
            self._channels_first(operator.inputs[0]),
            blocksize=operator.options.BlockSize(),
        )

    def _op_mean(self, operator: Operator) -> None:
        if self._constant(operator.inputs[1]).tolist() != [1, 2] or operator.options.KeepDims():
            raise self._source.unsupported("a mean over anything but the image")
        value = self._channels_first(operator.inputs[0])
        self._last[operator.outputs[0]] = self._graph.node(
            "ReduceMean", value, axes=[2, 3], keepdims=0
        )

    def _op_softmax(self, operator: Operator) -> None:
        if operator.options.Beta() != 1:
            raise self._source.unsupported("a softmax with a temperature")
        self._last[operator.outputs[0]] = self._graph.node(
            "Softmax", self._as_stored(operator.inputs[0]), axis=-1
        )

    # MediaPipe's custom operators.

    def _op_landmarks2transformmatrix(self, operator: Operator) -> None:
        options = operator.options
        if options["target_rotation_radians"] != 0:
            raise self._source.unsupported("a target rotation")
        points = self._as_stored(operator.inputs[0])
        self._last[operator.outputs[0]] = mediapipe.region(self._graph, points, options)
        self._matrices.add(operator.outputs[0])

    def _op_transformtensorbilinear(self, operator: Operator) -> None:
        image, matrix = operator.inputs
        _, rows, columns, _ = self._source.shapes[image]
        self._first[operator.outputs[0]] = mediapipe.sample(
            self._graph,
            self._channels_first(image),
            (rows, columns),
            self._as_stored(matrix),
            operator.options,
        )

    def _op_transformlandmarks(self, operator: Operator) -> None:
        points, matrix = (self._as_stored(i) for i in operator.inputs)
        self._last[operator.outputs[0]] = mediapipe.transform(self._graph, points, matrix)
