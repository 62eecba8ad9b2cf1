"""Wraps somebody's ONNX graph, so that it takes and returns what this package's estimators use.

The normalisation of the pixels and the decoding of the outputs become part of the graph. So one
network runs alike in every node and command, on every backend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, shape_inference

from face_perception.errors import InputError, one_line
from face_perception.inference import ModelError
from face_perception.learning.onnx_file.card import (
    LEFT_OUT,
    AngleContract,
    Contract,
    ValueContract,
    VectorContract,
)
from face_perception.outside_files import one_error, read_bytes
from face_perception.types import EXPRESSIONS

# Broadcasting of arithmetic and the axes of Softmax hold from this operator set on.
_OLDEST_OPSET = 9
# From this version of the format on, constants need not be inputs.
_OLDEST_FORMAT = 4
_MOST_BYTES = 2 << 30  # what one ONNX file can hold
_PREFIX = "imported/"
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def read_graph(file: Path) -> Any:
    """Returns the ONNX model of a file, with its weights.

    Weights in other files must be in the folder of ``file``. Raises ModelError if it is not an ONNX
    file, is too large for one file, or its weights are missing.
    """
    with one_error(f"{file}", "export the network again with torch.onnx.export", ModelError):
        model = onnx.load_model_from_string(read_bytes(file, _MOST_BYTES))
        onnx.load_external_data_for_model(model, str(file.parent))
        if sum(len(weights.raw_data) for weights in model.graph.initializer) >= _MOST_BYTES:
            raise InputError("it has more than 2 GB of weights, which one ONNX file cannot hold")
        onnx.checker.check_model(model)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"{file} uses operator set {opset}: export it again with {_OLDEST_OPSET} or later"
        )
    return model


def wrap(model: Any, contract: Contract, size: int, *, name: str, batch: bool) -> bytes:
    """Returns the wrapped ONNX file.

    Its input is ``picture`` (gaze) or ``face`` (expression) [N, size, size, 3], RGB, 0 to 255. Its
    outputs are ``gaze`` [N, 2], or ``probability`` [N, 7] and perhaps ``valence_arousal`` [N, 2].
    N is any number with ``batch``, else 1. Raises ModelError that names the field of the card that
    does not fit the file.
    """
    return _Wrapping(model, contract, size, batch).serialise(name)


class _Wrapping:
    def __init__(self, model: Any, contract: Contract, size: int, batch: bool) -> None:
        self._card, self._file = contract, contract.file
        self._size, self._batch = size, batch
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        inferred = shape_inference.infer_shapes(model)
        self._shapes = {port.name: _shape(port) for port in inferred.graph.output}
        given = [
            port
            for port in model.graph.input
            if port.name not in {weights.name for weights in model.graph.initializer}
        ]
        self._inner_input = self._check_input(given)
        self._inner = compose.add_prefix(model, _PREFIX)

    def serialise(self, name: str) -> bytes:
        count = "N" if self._batch else 1
        gaze = self._card.estimates == "gaze"
        port = "picture" if gaze else "face"
        before = self._add_normalisation(port)
        outputs = self._gaze() if gaze else self._expression()
        inner = self._inner.graph
        graph = helper.make_graph(
            [*self._nodes[:before], *inner.node, *self._nodes[before:]],
            name,
            [
                helper.make_tensor_value_info(
                    port, TensorProto.FLOAT, [count, self._size, self._size, 3]
                )
            ],
            [
                helper.make_tensor_value_info(output, TensorProto.FLOAT, [count, width])
                for output, width in outputs.items()
            ],
            [*inner.initializer, *self._constants],
        )
        graph.sparse_initializer.extend(inner.sparse_initializer)
        made = helper.make_model(
            graph,
            opset_imports=list(self._inner.opset_import),
            functions=list(self._inner.functions),
            producer_name="face_perception",
        )
        made.ir_version = max(self._inner.ir_version, _OLDEST_FORMAT)
        data: bytes = made.SerializeToString(deterministic=True)
        return data

    def _check_input(self, given: Sequence[Any]) -> str:
        """Returns the name of the input; checks its shape and type."""
        names = [port.name for port in given]
        wanted = self._card.input.name or (names[0] if len(names) == 1 else "")
        if len(given) != 1 or wanted != names[0]:
            raise self._unfit(
                "input.name",
                f"the file has the inputs {', '.join(names) or 'none'}, and a network with the "
                f"single input {wanted or 'of its picture'} was expected",
            )
        channels = 1 if self._card.input.colour == "gray" else 3
        side = self._size
        expected: tuple[int, ...] = (
            (channels, side, side) if self._card.input.layout == "NCHW" else (side, side, channels)
        )
        shape = _shape(given[0])
        fits = len(shape) == 4 and all(
            got in (None, want) for got, want in zip(shape[1:], expected, strict=True)
        )
        if not fits or shape[0] not in (None, 1):
            raise self._unfit(
                "input",
                f"the file takes {wanted} {_listed(shape)}, but the card says "
                f"{_listed((None, *expected))} ({self._card.input.layout}, "
                f"{self._card.input.colour}, size {side})",
            )
        if given[0].type.tensor_type.elem_type != TensorProto.FLOAT:
            raise self._unfit("input", f"{wanted} is not float32: export the network in float32")
        return wanted

    def _add_normalisation(self, port: str) -> int:
        """Adds the nodes from the picture to the network, and returns how many they are."""
        spec = self._card.input
        x = port
        if spec.colour == "BGR":
            x = self._node("Gather", x, self._constant([2, 1, 0], np.int64), axis=3)
        elif spec.colour == "gray":
            x = self._node("MatMul", x, self._constant(np.reshape(_LUMA, (3, 1))))
        low, high = spec.range
        mean, std = np.array(spec.mean), np.array(spec.std)
        x = self._node("Mul", x, self._constant((high - low) / 255 / std))
        x = self._node("Add", x, self._constant((low - mean) / std))
        perm = [0, 3, 1, 2] if spec.layout == "NCHW" else [0, 1, 2, 3]
        self._nodes.append(
            helper.make_node("Transpose", [x], [_PREFIX + self._inner_input], perm=perm)
        )
        return len(self._nodes)

    def _gaze(self) -> dict[str, int]:
        if self._card.vector is not None:
            pitch, yaw = self._from_vector(self._card.vector)
        else:
            assert self._card.angles is not None
            pitch, yaw = (
                self._from_angle(name, angle)
                for name, angle in zip(("pitch", "yaw"), self._card.angles, strict=True)
            )
        self._nodes.append(helper.make_node("Concat", [pitch, yaw], ["gaze"], axis=1))
        return {"gaze": 2}

    def _from_angle(self, name: str, angle: AngleContract) -> str:
        """Returns the angle [N, 1], radians: pitch positive up, yaw to the picture's left."""
        sign = 1.0 if angle.positive in ("up", "left") else -1.0
        field = f"outputs.{name}"
        if angle.form == "angle":
            unit = math.radians(1) if angle.unit == "degrees" else 1.0
            flat, width = self._flat(field, angle.output, angle.index + 1)
            weights = np.zeros((width, 1))
            weights[angle.index] = sign * unit
            return self._node("MatMul", flat, self._constant(weights))
        last = angle.index + angle.bins
        flat, _ = self._flat(field, angle.output, last, exact=angle.index == 0)
        used = self._constant(range(angle.index, last), np.int64)
        share = self._node("Softmax", self._node("Gather", flat, used, axis=1), axis=1)
        degrees = angle.offset_deg + angle.width_deg * np.arange(angle.bins)
        return self._node("MatMul", share, self._constant(sign * np.radians(degrees)[:, None]))

    def _from_vector(self, vector: VectorContract) -> tuple[str, str]:
        """Returns pitch and yaw [N, 1], radians. A yaw beyond 90 degrees counts as 90."""
        flat, _ = self._flat("outputs.vector", vector.output, 3, exact=True)
        left, up = self._constant([[1.0], [0], [0]]), self._constant([[0], [1.0], [0]])
        towards = self._constant([[0], [0], [1.0]])
        signs = [
            1.0 if vector.x == "left" else -1.0,
            1.0 if vector.y == "up" else -1.0,
            1.0 if vector.z == "towards" else -1.0,
        ]
        signed = self._node("Mul", flat, self._constant(signs))
        squares = self._node("Mul", signed, signed)
        total = self._node("MatMul", squares, self._constant(np.ones((3, 1))))
        length = self._node("Sqrt", self._node("Max", total, self._constant([[1e-12]])))
        unit = self._node("Div", signed, length)
        sine = self._limited(self._node("MatMul", unit, up))
        ahead = self._node("Max", self._node("MatMul", unit, towards), self._constant([[1e-6]]))
        tangent = self._node("Div", self._node("MatMul", unit, left), ahead)
        return self._node("Asin", sine), self._node("Atan", tangent)

    def _expression(self) -> dict[str, int]:
        spec, classes = self._card.expression, self._card.classes
        assert spec is not None
        flat, _ = self._flat(
            "outputs.expression", spec.output, spec.index + len(classes), exact=False
        )
        kept = [k for k, name in enumerate(classes) if name != LEFT_OUT]
        used = self._constant([spec.index + k for k in kept], np.int64)
        x = self._node("Gather", flat, used, axis=1)
        if spec.form == "logits":
            x = self._node("Softmax", x, axis=1)
        else:
            total = self._node("MatMul", x, self._constant(np.ones((len(kept), 1))))
            x = self._node("Div", x, self._node("Max", total, self._constant([[1e-6]])))
        order = np.zeros((len(kept), len(EXPRESSIONS)))
        for row, k in enumerate(kept):
            order[row, EXPRESSIONS.index(classes[k])] = 1
        self._nodes.append(helper.make_node("MatMul", [x, self._constant(order)], ["probability"]))
        outputs = {"probability": len(EXPRESSIONS)}
        if self._card.affect is not None:
            both = [
                self._value(f"outputs.{name}", value)
                for name, value in zip(("valence", "arousal"), self._card.affect, strict=True)
            ]
            joined = self._node("Concat", *both, axis=1)
            limited = self._limited(joined)
            self._nodes.append(helper.make_node("Identity", [limited], ["valence_arousal"]))
            outputs["valence_arousal"] = 2
        return outputs

    def _value(self, field: str, value: ValueContract) -> str:
        """Returns valence or arousal [N, 1], scaled to -1 to 1."""
        flat, width = self._flat(field, value.output, value.index + 1)
        low, high = value.range
        weights = np.zeros((width, 1))
        weights[value.index] = 2 / (high - low)
        scaled = self._node("MatMul", flat, self._constant(weights))
        return self._node("Add", scaled, self._constant([[-(high + low) / (high - low)]]))

    def _limited(self, x: str) -> str:
        above = self._node("Max", x, self._constant([[-1.0]]))
        return self._node("Min", above, self._constant([[1.0]]))

    def _flat(self, field: str, output: str, least: int, *, exact: bool = False) -> tuple[str, int]:
        """Returns an output of the network as [N, width], and its width.

        It must have ``least`` values for each face, or with ``exact`` just as many.
        """
        output = output or (next(iter(self._shapes)) if len(self._shapes) == 1 else "")
        if output not in self._shapes:
            raise self._unfit(
                f"{field}.output",
                f"the file has the outputs {', '.join(self._shapes)}: name one of them, not "
                f"{one_line(output, 80) or 'none'}",
            )
        shape = self._shapes[output]
        sizes = [size for size in shape[1:] if size]
        if len(sizes) < len(shape[1:]):
            raise self._unfit(
                f"{field}.output", f"the size of {output} {_listed(shape)} is not fixed in the file"
            )
        width = math.prod(sizes)
        if width < least or (exact and width != least):
            raise self._unfit(
                field,
                f"output {output} has {width} values for each face, but the card needs "
                f"{'' if exact else 'at least '}{least}",
            )
        wanted = self._constant([-1, width], np.int64)
        return self._node("Reshape", _PREFIX + output, wanted), width

    def _unfit(self, field: str, what: str) -> ModelError:
        return ModelError(f"card {self._file}: field {field} does not fit the ONNX file: {what}")

    def _constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name


def _shape(port: Any) -> tuple[int | None, ...]:
    """Returns the shape of a port of the file, with None for a free size."""
    dims = port.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def _listed(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('N' if size is None else str(size) for size in shape)}]"
