"""Reads a TFLite file: constants as float32 arrays, and operators with their options.

Used only at set-up. Needs the ``tflite`` schema package. The format is TensorFlow Lite's
schema.fbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite
from flatbuffers import flexbuffers  # type: ignore[import-untyped]

from face_perception.inference.models.cards import ModelError

Array = npt.NDArray[Any]


class UnsupportedModel(ModelError):
    """The conversion does not support a part of the file. The message names it and the model."""


@dataclass(frozen=True)
class Operator:
    """One operator.

    ``kind`` is its name, such as ``CONV_2D``. ``inputs`` and ``outputs`` are tensor numbers.
    ``options`` is the schema's option table, a mapping for a custom operator, or None.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


_TYPES = {
    tflite.TensorType.FLOAT32: "<f4",
    tflite.TensorType.FLOAT16: "<f2",
    tflite.TensorType.INT32: "<i4",
    tflite.TensorType.INT8: "i1",
}
_OPTIONS = {
    "ADD": tflite.AddOptions,
    "CONCATENATION": tflite.ConcatenationOptions,
    "CONV_2D": tflite.Conv2DOptions,
    "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
    "DEPTH_TO_SPACE": tflite.DepthToSpaceOptions,
    "DIV": tflite.DivOptions,
    "MAX_POOL_2D": tflite.Pool2DOptions,
    "MEAN": tflite.ReducerOptions,
    "MUL": tflite.MulOptions,
    "RESIZE_BILINEAR": tflite.ResizeBilinearOptions,
    "SOFTMAX": tflite.SoftmaxOptions,
    "STRIDED_SLICE": tflite.StridedSliceOptions,
    "SUB": tflite.SubOptions,
    "SUM": tflite.ReducerOptions,
}
_KINDS = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_INDICES = {
    tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
    tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
    tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
}


class TFLiteModel:
    """The first subgraph of a TFLite file.

    ``constants`` are the tensors with a value in the file, by number: half-precision and quantized
    ones as float32, sparse ones as dense arrays. ``operators`` are the operators to compute, in
    order. ``shapes`` are the shapes of all tensors as stored (batch 1, channels last). Raises
    UnsupportedModel.
    """

    def __init__(self, data: bytes, name: str) -> None:
        if data[4:8] != b"TFL3":
            raise UnsupportedModel(f"{name} is not a TFLite file")
        self.name = name
        self._file = tflite.Model.GetRootAs(data, 0)
        graph = self._file.Subgraphs(0)
        tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        self.shapes = [
            tuple(int(v) for v in t.ShapeAsNumpy()) if t.ShapeLength() else () for t in tensors
        ]
        self.inputs = tuple(int(i) for i in graph.InputsAsNumpy())
        self.outputs = tuple(int(i) for i in graph.OutputsAsNumpy())
        self.constants = {
            i: self._constant(i, tensor)
            for i, tensor in enumerate(tensors)
            if self._file.Buffers(tensor.Buffer()).DataLength()
        }
        self.operators: list[Operator] = []
        for k in range(graph.OperatorsLength()):
            self._add(graph.Operators(k))

    def unsupported(self, what: str) -> UnsupportedModel:
        return UnsupportedModel(f"{self.name}: {what} is not supported by the conversion to ONNX")

    def _constant(self, number: int, tensor: Any) -> Array:
        if tensor.Type() not in _TYPES:
            raise self.unsupported(f"the element type of tensor {number}")
        raw = self._file.Buffers(tensor.Buffer()).DataAsNumpy()
        value = np.frombuffer(raw.tobytes(), _TYPES[tensor.Type()])
        shape = self.shapes[number]
        if tensor.Sparsity() is not None:
            value = self._dense(number, value, tensor.Sparsity())
        value = value.reshape(shape)
        if value.dtype == np.int8:
            return self._dequantised(value, tensor.Quantization())
        return value.astype(np.float32) if value.dtype == np.float16 else value

    def _dense(self, number: int, values: Array, sparsity: Any) -> Array:
        """Returns the dense array of a tensor that is sparse in its last dimension (CSR)."""
        rank = len(self.shapes[number])
        order = sparsity.TraversalOrderAsNumpy()
        dimensions = [sparsity.DimMetadata(k) for k in range(sparsity.DimMetadataLength())]
        formats = [d.Format() for d in dimensions]
        compressed = [tflite.DimensionType.DENSE] * (rank - 1) + [tflite.DimensionType.SPARSE_CSR]
        if list(order) != list(range(rank)) or formats != compressed:
            raise self.unsupported(f"the sparsity of tensor {number}")
        last = dimensions[-1]
        segments = self._indices(last.ArraySegmentsType(), last.ArraySegments())
        columns = self._indices(last.ArrayIndicesType(), last.ArrayIndices())
        rows = np.repeat(np.arange(len(segments) - 1), np.diff(segments))
        dense = np.zeros((len(segments) - 1, self.shapes[number][-1]), values.dtype)
        dense[rows, columns] = values
        return dense

    def _indices(self, kind: int, table: Any) -> Array:
        vector = _INDICES[kind]()
        vector.Init(table.Bytes, table.Pos)
        indices: Array = vector.ValuesAsNumpy().astype(np.int64)
        return indices

    def _dequantised(self, value: Array, quantization: Any) -> Array:
        scale = quantization.ScaleAsNumpy().astype(np.float32)
        zero = quantization.ZeroPointAsNumpy().astype(np.float32)
        along = [1] * value.ndim
        along[quantization.QuantizedDimension()] = -1
        dequantised: Array = (value.astype(np.float32) - zero.reshape(along)) * scale.reshape(along)
        return dequantised

    def _add(self, operator: Any) -> None:
        code = self._file.OperatorCodes(operator.OpcodeIndex())
        kind = _KINDS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = tuple(int(i) for i in operator.InputsAsNumpy())
        outputs = tuple(int(i) for i in operator.OutputsAsNumpy())
        if kind in ("DENSIFY", "DEQUANTIZE") and inputs[0] in self.constants:
            # `constants` are already dense and float32.
            self.constants[outputs[0]] = self.constants[inputs[0]]
            return
        options: Any = None
        if kind == "CUSTOM":
            kind = code.CustomCode().decode()
            if operator.CustomOptionsLength():
                options = flexbuffers.Loads(operator.CustomOptionsAsNumpy().tobytes())
        elif kind in _OPTIONS:
            table = operator.BuiltinOptions()
            if table is None:
                raise self.unsupported(f"operator {kind} without options")
            options = _OPTIONS[kind]()
            options.Init(table.Bytes, table.Pos)
        self.operators.append(Operator(kind, inputs, outputs, options))
