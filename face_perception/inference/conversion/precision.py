"""Converts FP32 ONNX models to FP16 or INT8. Used only at export. Needs onnx.

INT8 has two recipes, because no file is fast on both runtimes. ``int8-cpu`` has unsigned
activations, which CPUs with VNNI need and TensorRT rejects. ``int8-trt`` is symmetric and leaves
the bias in FP32, as TensorRT requires.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

Array = npt.NDArray[Any]

RECIPES = ("int8-cpu", "int8-trt")
_CPU_INFO = Path("/proc/cpuinfo")

# Operators that stay in FP32: those that compute and sample image regions. FP16 would cost half a
# pixel in an image of 192 pixels, and they take almost no time.
_KEPT_FP32 = [
    *("ReduceL2", "ReduceMax", "ReduceMin", "ReduceMean", "Div", "Min", "Max", "Sub"),
    *("Resize", "GridSample"),
]


def to_fp16(model: bytes) -> bytes:
    """Returns the model with weights and arithmetic in FP16. Inputs and outputs stay in FP32."""
    data: bytes = _to_half_precision(_named(onnx.load_from_string(model))).SerializeToString(
        deterministic=True
    )
    return data


def to_fp16_external(source: Path, path: Path) -> None:
    """Converts a model with an external weight file (above 2 GB) to FP16.

    Writes ``path`` and ``path``.data. Needs memory of 1.5 times the size of the weights.
    """
    model = onnx.load(source, load_external_data=False)
    # Infer shapes before loading the weights, because that fails on models above 2 GB.
    model = onnx.shape_inference.infer_shapes(model)
    onnx.load_external_data_for_model(model, str(source.parent))
    onnx.save_model(
        _to_half_precision(_named(model), has_shapes=True),
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
    )


def _to_half_precision(network: Any, *, has_shapes: bool = False) -> Any:
    with warnings.catch_warnings():
        # The converter warns about each constant that is too small for FP16.
        warnings.simplefilter("ignore", UserWarning)
        return convert_float_to_float16(
            network,
            keep_io_types=True,
            op_block_list=_KEPT_FP32,
            disable_shape_infer=has_shapes,
        )


def to_int8(model: bytes, recipe: str, samples: Mapping[str, Array]) -> bytes:
    """Returns the model with convolutions in INT8 and the rest in FP32.

    ``samples`` [K, ...] by input name set the ranges of the activations.
    """
    for_tensorrt = recipe == "int8-trt"
    network = _named(_without_constant_identities(onnx.load_from_string(model)))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        source = Path(folder) / "fp32.onnx"
        source.write_bytes(network.SerializeToString())
        quantize_static(
            source,
            path,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_depthwise(network.graph),
            per_channel=True,
            activation_type=QuantType.QInt8 if for_tensorrt else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": for_tensorrt,
                "WeightSymmetric": True,
                "QuantizeBias": not for_tensorrt,
            },
        )
        return path.read_bytes()


def to_int8_products(source: Path, path: Path) -> None:
    """Converts products with constant matrices to INT8, and leaves the rest in FP32.

    Needs no calibration, because the ranges of the activations are computed in every run. For the
    CPU, and for models with an external weight file (above 2 GB). Writes ``path`` and
    ``path``.data.
    """
    with _quiet(), _constants_at_products(source) as folded:
        quantize_dynamic(
            folded,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QUInt8 if _signed_products_saturate() else QuantType.QInt8,
            use_external_data_format=True,
            extra_options={"MatMulConstBOnly": True},
        )


@contextlib.contextmanager
def _constants_at_products(source: Path) -> Iterator[Path]:
    """Yields ``source``, or a temporary file next to it that has no Identity of a constant.

    Next to it, because onnx reads external weights only from the folder of the file.
    """
    network = onnx.load(source, load_external_data=False)
    nodes = len(network.graph.node)
    if len(_without_constant_identities(network).graph.node) == nodes:
        yield source
        return
    with tempfile.NamedTemporaryFile(suffix=".onnx", prefix=".folded-", dir=source.parent) as file:
        file.write(network.SerializeToString())
        file.flush()
        yield Path(file.name)


def _signed_products_saturate() -> bool:
    """Returns whether products with signed 8-bit weights are inexact on this processor.

    x86 without VNNI adds pairs of them in 16 bits, which saturate. Unsigned weights avoid that: on
    12 products of 320 and 640 values, the RMS error was 0.57 and 0.85 of that with signed weights,
    and the speed 1.44 and 1.65 instead of 1.87 and 1.84 times that of FP32. With signed weights of
    7 bits, the error was 0.92 and 1.4 of that with 8 bits.
    """
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = text.partition("\nflags")[2].partition("\n")[0].split()
    return bool(flags) and not {"avx_vnni", "avx512_vnni"} & set(flags)


def _named(network: Any) -> Any:
    """Names every node, because the converters need names although ONNX does not."""
    for node in network.graph.node:
        node.name = node.name or node.output[0]
    return network


def _without_constant_identities(network: Any) -> Any:
    """Replaces each Identity of a constant by a copy of the constant, named like its output.

    PyTorch's exporter stores equal weights once and shares them through Identity nodes. The
    quantizer skips a bias that comes from such a node, and ONNX Runtime then runs that convolution
    in FP32.
    """
    graph = network.graph
    constants = {constant.name: constant for constant in graph.initializer}
    outputs = {port.name for port in graph.output}
    kept = []
    for node in graph.node:  # in topological order, so chains are followed
        shared = constants.get(node.input[0]) if node.op_type == "Identity" else None
        if shared is None or node.output[0] in outputs:
            kept.append(node)
            continue
        constant = onnx.TensorProto()
        constant.CopyFrom(shared)
        constant.name = node.output[0]
        constants[constant.name] = constant
    del graph.node[:]
    graph.node.extend(kept)
    del graph.initializer[:]
    graph.initializer.extend(constants.values())
    return network


def _depthwise(graph: Any) -> list[str]:
    """Returns the names of depthwise convolutions.

    In INT8 they gain no speed (nine products per sum) and lose the most accuracy.
    """
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the quantizer's advice on the root logger. It does not apply to these graphs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Samples(CalibrationDataReader):
    def __init__(self, samples: Mapping[str, Array]) -> None:
        count = len(next(iter(samples.values())))
        self._samples: Iterator[dict[str, Array]] = iter(
            [{name: value[k : k + 1] for name, value in samples.items()} for k in range(count)]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)
