"""Converts the TFLite operators of the default models to ONNX. Used only at set-up.

Convolutions and the operators between them have channels first. Everything else, including inputs
and outputs, has the layout of the file. The first axis is a batch of any size, and no operator may
mix its samples. The operators follow TensorFlow Lite's reference kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from face_perception.inference.conversion import mediapipe_operators as mediapipe
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.inference.conversion.tflite_reader import Operator, TFLiteModel

Array = npt.NDArray[Any]


class Conversion:
    """Adds the operators of a TFLite file to a graph.

    ``value`` is the name of the input in the graph, an image [N, H, W, C] or another input of the
    file. ``output(k)`` is the k-th output in the layout of the file, batch first. Raises
    UnsupportedModel for an unknown operator or option.
    """

    def __init__(self, graph: Graph, source: TFLiteModel, value: str) -> None:
        self._graph = graph
        self._source = source
        # Names of values by tensor number: channels first, as in the file, or both.
        self._first: dict[int, str] = {}
        self._last: dict[int, str] = {source.inputs[0]: value}
        self._padding: dict[int, tuple[int, int, int, int]] = {}
        # Numbers of affine maps, which are [N, 4, 4] in the file and [N, 3, 2] in the graph.
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

    def _operand(self, tensor: int) -> str:
        """Returns a value or constant in the layout of the file."""
        if tensor in self._source.constants:
            return self._graph.constant(self._source.constants[tensor])
        return self._as_stored(tensor)

    def _axes(self, operator: Operator) -> list[int]:
        """Returns the axes in an operator's second input, as non-negative numbers."""
        rank = len(self._source.shapes[operator.inputs[0]])
        axes = [int(axis) % rank for axis in self._constant(operator.inputs[1]).reshape(-1)]
        if 0 in axes:
            raise self._source.unsupported(f"{operator.kind} over the batch")
        return axes

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

    # One method for each operator, named after the schema.

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
        """Returns the padding (top, left, bottom, right) as in TensorFlow.

        With SAME and an odd total, the end gets one more than the start.
        """
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
            # For Pad or a scalar factor, ONNX Runtime would leave its blocked layout, which takes
            # 10 % of the mesh's time.
            zero = self._graph.constant(np.zeros((channels, 1, 1)))
            zeros = self._graph.node("Mul", value, zero)
            self._first[output] = self._graph.node("Concat", value, zeros, axis=1)
        else:
            # The convolution that follows does the padding.
            self._first[output] = value
            self._padding[output] = (before[1], before[2], after[1], after[2])

    def _op_prelu(self, operator: Operator) -> None:
        slope = self._constant(operator.inputs[1]).reshape(-1, 1, 1)
        value = self._channels_first(operator.inputs[0])
        self._first[operator.outputs[0]] = self._graph.prelu(value, slope)

    def _op_add(self, operator: Operator) -> None:
        a, b = operator.inputs
        if a in self._first and b in self._first:
            self._first[operator.outputs[0]] = self._activated(
                self._graph.node("Add", self._channels_first(a), self._channels_first(b)),
                operator.options.FusedActivationFunction(),
            )
        else:
            self._elementwise(operator, "Add")

    def _elementwise(self, operator: Operator, kind: str) -> None:
        """Adds an operator on two values that are broadcast to one shape."""
        a, b = (self._operand(tensor) for tensor in operator.inputs)
        self._last[operator.outputs[0]] = self._activated(
            self._graph.node(kind, a, b), operator.options.FusedActivationFunction()
        )

    def _op_sub(self, operator: Operator) -> None:
        self._elementwise(operator, "Sub")

    def _op_div(self, operator: Operator) -> None:
        self._elementwise(operator, "Div")

    def _op_squared_difference(self, operator: Operator) -> None:
        a, b = (self._operand(tensor) for tensor in operator.inputs)
        difference = self._graph.node("Sub", a, b)
        self._last[operator.outputs[0]] = self._graph.node("Mul", difference, difference)

    def _unary(self, operator: Operator, *kinds: str) -> None:
        """Adds a chain of ONNX nodes with one input each, in the current layout."""
        tensor, output = operator.inputs[0], operator.outputs[0]
        first = tensor in self._first
        value = self._channels_first(tensor) if first else self._as_stored(tensor)
        for kind in kinds:
            value = self._graph.node(kind, value)
        (self._first if first else self._last)[output] = value

    def _op_logistic(self, operator: Operator) -> None:
        self._unary(operator, "Sigmoid")

    def _op_neg(self, operator: Operator) -> None:
        self._unary(operator, "Neg")

    def _op_relu(self, operator: Operator) -> None:
        self._unary(operator, "Relu")

    def _op_rsqrt(self, operator: Operator) -> None:
        self._unary(operator, "Sqrt", "Reciprocal")

    def _op_sqrt(self, operator: Operator) -> None:
        self._unary(operator, "Sqrt")

    def _op_mul(self, operator: Operator) -> None:
        tensor, factor = operator.inputs
        if tensor not in self._matrices:
            self._elementwise(operator, "Mul")
            return
        value = self._constant(factor)[:, :2, [0, 1, 3]].transpose(0, 2, 1)
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
        tensor, output, options = operator.inputs[0], operator.outputs[0], operator.options
        shape = self._source.shapes[tensor]
        begin, end, stride = (self._constant(i).tolist() for i in operator.inputs[1:])
        for axis in range(len(shape)):
            begin[axis] = 0 if options.BeginMask() >> axis & 1 else begin[axis] % shape[axis]
            if options.EndMask() >> axis & 1 or end[axis] >= shape[axis]:
                end[axis] = shape[axis]
        if (begin[0], end[0]) != (0, shape[0]):
            raise self._source.unsupported("a slice of the batch")
        # Dropping an axis other than the batch would change the layout.
        if options.EllipsisMask() or options.NewAxisMask() or options.ShrinkAxisMask() & ~1:
            raise self._source.unsupported("a slice that adds or drops an axis")
        value = self._as_stored(tensor)
        axes = [i for i, size in enumerate(shape) if (begin[i], end[i], stride[i]) != (0, size, 1)]
        if axes:
            bounds = [self._graph.indices([v[i] for i in axes]) for v in (begin, end)]
            steps = self._graph.indices([stride[i] for i in axes])
            value = self._graph.node("Slice", value, *bounds, self._graph.indices(axes), steps)
        self._last[output] = value

    def _op_transpose(self, operator: Operator) -> None:
        order = self._constant(operator.inputs[1]).tolist()
        if order[0] != 0:
            raise self._source.unsupported("a transposition of the batch")
        self._last[operator.outputs[0]] = self._graph.node(
            "Transpose", self._as_stored(operator.inputs[0]), perm=order
        )

    def _op_concatenation(self, operator: Operator) -> None:
        rank = len(self._source.shapes[operator.outputs[0]])
        axis = operator.options.Axis() % rank
        computed = [i for i in operator.inputs if i not in self._source.constants]
        if axis == 0 or not computed:
            raise self._source.unsupported("a concatenation of batches or constants")
        # A constant has one sample. Adding a zero for every sample repeats it over the batch.
        zero = self._graph.node("Mul", self._as_stored(computed[0]), self._graph.constant(0))
        zero = self._graph.node("ReduceMean", zero, axes=list(range(1, rank)), keepdims=1)
        parts = [
            self._graph.node("Add", self._operand(i), zero)
            if i in self._source.constants
            else self._as_stored(i)
            for i in operator.inputs
        ]
        self._last[operator.outputs[0]] = self._activated(
            self._graph.node("Concat", *parts, axis=axis),
            operator.options.FusedActivationFunction(),
        )

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
        tensor, output = operator.inputs[0], operator.outputs[0]
        axes, keep = self._axes(operator), operator.options.KeepDims()
        if axes == [1, 2] and not keep and tensor in self._first:
            value = self._channels_first(tensor)
            self._last[output] = self._graph.node("ReduceMean", value, axes=[2, 3], keepdims=0)
        else:
            self._last[output] = self._graph.node(
                "ReduceMean", self._as_stored(tensor), axes=axes, keepdims=int(keep)
            )

    def _op_sum(self, operator: Operator) -> None:
        self._last[operator.outputs[0]] = self._graph.node(
            "ReduceSum",
            self._as_stored(operator.inputs[0]),
            self._graph.indices(self._axes(operator)),
            keepdims=int(operator.options.KeepDims()),
        )

    def _op_softmax(self, operator: Operator) -> None:
        if operator.options.Beta() != 1:
            raise self._source.unsupported("a softmax with a temperature")
        self._last[operator.outputs[0]] = self._graph.node(
            "Softmax", self._as_stored(operator.inputs[0]), axis=-1
        )

    # Custom operators of MediaPipe.

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
